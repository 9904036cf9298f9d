"""How the sysadmin's commands print results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import click

from gateway.base import json


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
