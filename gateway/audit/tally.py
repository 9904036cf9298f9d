"""Counts of audit records, for metrics. Their labels are words from fixed sets, so no name of a person becomes one."""

from __future__ import annotations

from collections import Counter

from gateway.audit import query

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from gateway.audit.query import Event

_COUNTERS = ("decisions", "refusals", "locked", "unlock-failed", "lock-incomplete", "others")


class Tally:
    """`counted` has a Counter for each of `_COUNTERS`: records by decision, by reason, and by kind ("others": requests
    without a record count as throttled). `newest` is the time of the last record ("": none).
    """

    def __init__(self) -> None:
        self.counted: dict[str, Counter[str]] = {name: Counter() for name in _COUNTERS}
        self.newest = ""

    def add(self, event: Event) -> None:
        self.newest = event.time
        if event.event == "request":
            self.counted["decisions"][event.decision] += 1
            if event.decision == "deny":
                self.counted["refusals"][event.reason] += 1
        elif event.event == "fault":
            self.counted["others"]["fault"] += 1
        elif event.event == "throttled":
            self.counted["others"]["throttled"] += _unrecorded(event)
        elif event.event in self.counted:
            self.counted[event.event][event.reason] += 1

    def include(self, later: Tally) -> None:
        """Add the counts of records that come after ours."""
        self.newest = later.newest or self.newest
        for name, counter in later.counted.items():
            self.counted[name].update(counter)

    def as_dict(self) -> dict[str, object]:
        return {"newest": self.newest, "counted": {name: dict(counter) for name, counter in self.counted.items()}}

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Tally:
        """The tally of which `as_dict` made `values`. Raises ValueError, KeyError and the like for anything else."""
        made = cls()
        made.newest = values["newest"]
        for name in _COUNTERS:
            made.counted[name].update({**values["counted"][name]})
        numbers = [number for counter in made.counted.values() for number in counter.values()]
        if type(made.newest) is not str or any(type(number) is not int or number < 0 for number in numbers):
            raise ValueError("not a tally")
        if made.newest:
            query.timestamp(made.newest)
        return made


def _unrecorded(event: Event) -> int:
    """The requests that a `throttled` record stands for: the first refusal has a record of its own."""
    refused, passed = (_number(event.detail(name)) for name in ("refused", "passed"))
    return max(0, refused - 1) + passed


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS else 0


_MAX_DIGITS = 12
