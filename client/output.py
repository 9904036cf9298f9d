"""What enc prints: the result on standard output, everything else on standard error."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import click

from client.system.terminal_text import printable

_HOURS_AGO = 20 * 3600
"""What is longer ago is shown by its date."""


def result(fields: dict[str, Any], text: str, as_json: bool, strong: str = "") -> None:
    """Print the result: `fields` as a JSON object for programs, or `text` for people, `strong` in it in bold."""
    plain = printable(text)
    shown = plain.replace(strong, _bold(strong), 1) if strong else plain  # after `printable`, which removes escapes
    click.echo(json.dumps(fields) if as_json else shown)


def note(text: str) -> None:
    """Print something that is not the result."""
    click.echo(printable(text), err=True)


def is_interactive() -> bool:
    """Whether enc can ask the user questions."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def _bold(text: str) -> str:
    """`text` in bold on a terminal; unchanged elsewhere, or with NO_COLOR."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not sys.stdout.isatty()
    return text if plain else click.style(text, bold=True)


def columns(rows: Sequence[tuple[str, ...]]) -> str:
    """Align `rows`, which have the same number of cells each, in columns. The only place where enc makes a table."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def is_for_person() -> bool:
    """Whether a terminal shows the result. What goes to a file or a program is as the gateway prints it."""
    return sys.stdout.isatty()


def short(path: str) -> str:
    """A path with ~ for the home directory."""
    home = os.path.expanduser("~")
    return f"~{path[len(home) :]}" if path == home or path.startswith(f"{home}/") else path


def when(moment: str) -> str:
    """A time of RFC 3339 in UTC as people say it: `5 min ago`, or the local time; "never" for none."""
    try:
        then = datetime.fromisoformat(moment.replace("Z", "+00:00"))
    except ValueError:
        return "never"
    passed = (datetime.now(UTC) - then).total_seconds()
    if 0 <= passed < _HOURS_AGO:
        return ago(int(passed))
    return then.astimezone().strftime("%Y-%m-%d %H:%M")


def size(count: int) -> str:
    """`count` bytes as the gateway writes them: `52.0 KiB`."""
    number = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < 1024:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.1f} TiB"


def ago(seconds: int) -> str:
    """`just now`, `40 s ago`, `5 min ago`, `3 h ago`."""
    for size, name in ((3600, "h"), (60, "min"), (1, "s")):
        if seconds >= size:
            return f"{seconds // size} {name} ago"
    return "just now"


def duration(seconds: int) -> str:
    """`45 s`, `9 min 59 s`, `15 min`, `2 h 5 min`."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    parts = [(hours, "h"), (minutes, "min"), (0 if hours or minutes >= 10 else rest, "s")]
    return " ".join(f"{count} {name}" for count, name in parts if count) or "0 s"


def recovery_code(answer: dict[str, Any]) -> str:
    """The words for the recovery code in the gateway's answer; "" when it has none."""
    if "code" not in answer:
        return ""
    keep = "Write it down and keep it away from your machine. Whoever has it and can log in as you opens the project."
    return f"\nThe recovery code, which is shown once:\n\n    {answer['code']}\n\n{keep}"
