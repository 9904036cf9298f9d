"""Print the results of the sysadmin's commands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import click

from gateway.base import json, text


def result(fields: Mapping[str, object], words: str, as_json: bool) -> None:
    """Print a result: with `as_json` the object `fields`, else `words` unless they are ""."""
    printed = json.dumps(fields) if as_json else words
    if printed:
        click.echo(printed)


def table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]], empty: str) -> str:
    """Aligned columns, or `empty` when there are no rows. Control characters in the cells are escaped."""
    if not rows:
        return empty
    return text.columns([header, *(tuple(visible(cell) for cell in row) for row in rows)])


def visible(unsafe: str) -> str:
    """`unsafe` with every character escaped that could control a terminal or end the line."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape", "replace").decode() for char in unsafe)


def visible_lines(lines: Sequence[str]) -> str:
    """The lines, each made `visible`, joined by line ends."""
    return "\n".join(map(visible, lines))
