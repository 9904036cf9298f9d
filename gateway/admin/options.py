"""What the commands share: the options, how results are printed, and how moments are written."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from gateway import authorized_keys
from gateway.config import Config, load
from gateway.errors import Usage

CONFIG = Path("/etc/enc/gateway.toml")

_UNITS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def _load(_ctx: click.Context, _param: click.Parameter, path: Path) -> Config:
    return load(str(path))


settings = click.option(
    "--config",
    "settings",
    default=CONFIG,
    show_default=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="The gateway's configuration.",
)
configured = click.option(
    "--config",
    "settings",
    default=CONFIG,
    show_default=True,
    type=click.Path(path_type=Path, dir_okay=False),
    callback=_load,
    help="The gateway's configuration.",
)
"""The same, for a command that takes what is in it."""

as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


def result(fields: Mapping[str, object], words: str, as_json: bool) -> None:
    """Print what a command came to: an object for programs, or words for people ("" for none)."""
    text = json.dumps(fields) if as_json else words
    if text:
        click.echo(text)


def table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]], none: str) -> str:
    """Aligned columns, with control characters of any origin made visible; `none` where there are no rows."""
    if not rows:
        return none
    shown = [header, *(tuple(visible(cell) for cell in row) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in shown)


def visible(text: str) -> str:
    """`text` on one line of a terminal, which it cannot control."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape", "replace").decode() for char in text)


def visible_lines(lines: Sequence[str]) -> str:
    """Each of `lines` on a line of its own."""
    return "\n".join(map(visible, lines))


def utc(seconds: float) -> str:
    """RFC 3339, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def human(size: float) -> str:
    """Bytes, for people."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def seconds(text: str) -> int | None:
    """`90m`, `24h`, `7d`, `2w` in seconds; None for anything else."""
    found = re.fullmatch(r"([0-9]{1,6})([mhdw])", text)
    return int(found[1]) * _UNITS[found[2]] if found else None


def timespec(text: str) -> str:
    """A date, date and time (`2027-01-31`, `2027-01-31T18:00`, with or without Z) as sshd(8) writes it."""
    spec = re.sub(r"(?<=\d)[-:T ](?=\d)", "", text)
    if authorized_keys.moment(spec) is None:
        raise Usage("a moment is 2027-01-31 or 2027-01-31T18:00 (Z behind it for UTC), or a span such as 24h or 7d")
    return spec


def expiry(text: str) -> str:
    """A moment to come as sshd(8) writes it; a span counts from now. Raises Usage for one that is past."""
    span = seconds(text)
    spec = timespec(text) if span is None else time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + span))
    if (authorized_keys.moment(spec) or 0) <= time.time():
        raise Usage(f"{text} is not in the future")
    return spec


def past(text: str) -> float:
    """A moment in seconds since the epoch; a span counts back from now."""
    span = seconds(text)
    return time.time() - span if span is not None else authorized_keys.moment(timespec(text)) or 0.0
