"""What a mistyped word was probably meant to be."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_LONGEST = 64


def closest(word: str, known: Iterable[str]) -> str:
    """The one of `known` that `word` was probably meant to be; "" if none is near. Only short words are looked at."""
    known = list(known)
    if not 1 < len(word) <= _LONGEST:
        return ""
    near = min(((_distance(word, each), each) for each in known), default=(99, ""))
    begin = sorted(each for each in known if each.startswith(word))
    if near[0] <= max(1, len(word) // 3):
        return near[1]
    return begin[0] if len(begin) == 1 else ""


def _distance(one: str, other: str) -> int:
    """How many letters have to be inserted, removed, replaced or swapped with their neighbour."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        last, before, row = before, row, [i]
        for j, wanted in enumerate(other, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != wanted))
            if i > 1 and j > 1 and (letter, one[i - 2]) == (other[j - 2], wanted):
                cost = min(cost, last[j - 2] + 1)
            row.append(cost)
    return row[-1]
