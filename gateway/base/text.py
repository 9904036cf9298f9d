"""Format tables, sizes and times for people."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_GAP = 2
_NARROWEST = 6
"""Characters. A column is not made narrower to make a table fit."""
_DAY = 86400


def columns(rows: Sequence[tuple[str, ...]]) -> str:
    """Align `rows` in columns. All rows have the same number of cells, and there is at least one row."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def fitted(rows: Sequence[tuple[str, ...]], width: int, whole: Sequence[int] = ()) -> str:
    """As `columns`, in lines of at most `width` characters: what is too wide goes on below, within its column.

    The columns `whole` are not broken, so that one can copy what is in them.
    """
    import textwrap

    natural = [max(map(len, column)) for column in zip(*rows, strict=True)]
    words = [_longest_word(column) for column in zip(*rows, strict=True)]
    fixed = [natural[at] if at in whole else 0 for at in range(len(natural))]
    widths = _narrowed(natural, [list(map(max, fixed, words)), fixed], width)
    if widths == natural:
        return columns(rows)
    lines = []
    for row in rows:
        cells = [
            textwrap.wrap(cell, max(wide, 1), break_on_hyphens=False) or [""]
            for cell, wide in zip(row, widths, strict=True)
        ]
        for number in range(max(map(len, cells))):
            parts = (cell[number] if number < len(cell) else "" for cell in cells)
            lines.append("  ".join(map(str.ljust, parts, widths)).rstrip())
    return "\n".join(lines)


def _longest_word(cells: Sequence[str]) -> int:
    return max((len(word) for cell in cells for word in cell.split(" ")), default=0)


def _narrowed(widths: list[int], floors: list[list[int]], width: int) -> list[int]:
    """The widths with which a table fits: the widest columns are narrowed, to the first `floors`, then to the next."""
    found = list(widths)
    excess = sum(found) + _GAP * (len(found) - 1) - width
    for least in floors:
        while excess > 0:
            room = [wide - max(floor, _NARROWEST) for wide, floor in zip(found, least, strict=True)]
            wide = max((found[at] for at, left in enumerate(room) if left > 0), default=0)
            if not wide:
                break
            found[next(at for at, left in enumerate(room) if left > 0 and found[at] == wide)] -= 1
            excess -= 1
    return found


def human_size(size: float) -> str:
    """Format `size` bytes: `1.5 MiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def counted(number: int, one: str, many: str = "") -> str:
    """A number with its noun: `1 key`, `2 keys`. `many` is the plural where it is not `one` with an s."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def span(seconds: float) -> str:
    """A length of time, 0 or more seconds, in its largest unit: `40 s`, `2 min`, `3 h`, `4 days`."""
    if seconds >= _DAY:
        return counted(int(seconds // _DAY), "day")
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size:.0f} {unit}"
    return f"{int(seconds)} s"


def ago(seconds: float) -> str:
    """How long ago something was, `seconds` (0 or more): `just now`, `5 min ago`, `3 days ago`."""
    return f"{span(seconds)} ago" if seconds >= 1 else "just now"


def duration(seconds: int) -> str:
    """`45 s`, `9 min 59 s`, `2 h 5 min`."""
    if seconds < 60:
        return f"{seconds} s"
    minutes, rest = divmod(seconds, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest and minutes < 10 else f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min" if minutes % 60 else f"{minutes // 60} h"
