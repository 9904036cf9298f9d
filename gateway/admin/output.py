"""Print the results of the sysadmin's commands.

At a terminal, tables fit its width, times are local or relative, and fingerprints are as long as they have to be. In a
pipe or a file, and in JSON, times are RFC 3339 in UTC, and nothing is shortened or wrapped.
"""

from __future__ import annotations

import itertools
import os
import re
import time
from collections.abc import Iterable, Mapping, Sequence

import click

from gateway.audit.query import timestamp
from gateway.base import json, text

_DAY = 24 * 3600
_MIN_WIDTH = 40
_DEFAULT_WIDTH = 80
_PREFIX = "SHA256:"
_SHORTEST = 8
"""Characters of a fingerprint that are shown at a terminal at least, after its prefix."""


def result(fields: Mapping[str, object], words: str, as_json: bool) -> None:
    """Print a result: with `as_json` the object `fields`, else `words` unless they are ""."""
    printed = json.dumps(fields) if as_json else words
    if printed:
        click.echo(printed)


def note(words: str) -> None:
    """Print a line for people on standard error, so that it is in no pipe."""
    click.echo(words, err=True)


def at_terminal() -> bool:
    return os.isatty(1)


def table(
    header: tuple[str, ...],
    rows: Sequence[tuple[str, ...]],
    empty: str,
    whole: Sequence[str] = (),
    optional: Sequence[str] = (),
) -> str:
    """Aligned columns, or `empty` when there are no rows. Control characters in the cells are escaped.

    At a terminal, the columns `whole` are not broken, and those of `optional` in which every cell is "-" are left out.
    """
    if not rows:
        return empty
    cells = [header, *(tuple(visible(cell) for cell in row) for row in rows)]
    if not at_terminal():
        return text.columns(cells)
    columns = [column for column in zip(*cells, strict=True) if column[0] not in optional or set(column[1:]) != {"-"}]
    glued = [tuple(_UNIT.sub(_GLUE, cell) for cell in row) for row in zip(*columns, strict=True)]
    kept = [at for at, column in enumerate(columns) if column[0] in whole]
    return text.fitted(glued, _width(), kept).replace(_GLUE, " ")


_GLUE = "\u00a0"
_UNIT = re.compile(r"(?<=\d) (?=[A-Za-z]{1,3}\b)")
"""Between a number and its unit, where no line is broken."""


def _width() -> int:
    try:
        return max(_MIN_WIDTH, os.get_terminal_size(1).columns or _DEFAULT_WIDTH)
    except OSError:
        return _DEFAULT_WIDTH


def when(moment: str, none: str = "-") -> str:
    """A moment in RFC 3339: at a terminal `2 min ago`, `in 3 h`, or the local date. `none` stands for ""."""
    if not moment:
        return none
    seconds = _parsed(moment)
    if seconds is None or not at_terminal():
        return moment
    away = time.time() - seconds
    if abs(away) >= _DAY:
        return _local(seconds, "%H:%M")
    return text.ago(away) if away >= 0 else f"in {text.span(-away)}"


def clock_time(moment: str) -> str:
    """A moment in RFC 3339 to the second: at a terminal the local time, with the date unless it is today's."""
    seconds = _parsed(moment)
    if seconds is None or not at_terminal():
        return moment
    return _local(seconds, "%H:%M:%S")


def _parsed(moment: str) -> float | None:
    try:
        return timestamp(moment)
    except ValueError:
        return None


def _local(seconds: float, form: str) -> str:
    at, now = time.localtime(seconds), time.localtime()
    if at[:3] == now[:3]:
        return time.strftime(form, at)
    return time.strftime(f"%d %b {form}" if at[0] == now[0] else f"%Y-%m-%d {form}", at)


class Fingerprints:
    """Shortens fingerprints at a terminal, so that none of `known` begins like another. `key` and `why` take them."""

    def __init__(self, known: Iterable[str]) -> None:
        ordered = sorted({one for one in known if one.startswith(_PREFIX)})
        needed = max((_common(*pair) + 1 for pair in itertools.pairwise(ordered)), default=0)
        self._length = max(needed, len(_PREFIX) + _SHORTEST)

    def short(self, fingerprint: str) -> str:
        return fingerprint[: self._length] if at_terminal() and fingerprint.startswith(_PREFIX) else fingerprint

    def named(self, fingerprint: str, label: str) -> str:
        """The label and the fingerprint: `dev1@laptop SHA256:gIHBRLxy`."""
        return f"{label} {self.short(fingerprint)}" if label else self.short(fingerprint)


def _common(one: str, other: str) -> int:
    """How many characters both begin with."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def visible(unsafe: str) -> str:
    """`unsafe` with every character escaped that could control a terminal or end the line."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape", "replace").decode() for char in unsafe)


def visible_lines(lines: Sequence[str]) -> str:
    """The lines, each made `visible`, joined by line ends."""
    return "\n".join(map(visible, lines))
