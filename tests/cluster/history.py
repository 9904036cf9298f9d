"""Judge what several hosts did with one project, from what each was told and from what is there in the end.

Each time somebody gets the project, that is a new epoch: a number higher than all before. The holder appends records
(epoch, n) to one file, each synced, and logs when it began and when it was acknowledged. Nothing here has effects.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise


@dataclass(frozen=True)
class Write:
    """An acknowledged record: its number, and when its write began and when fsync had returned (CLOCK_MONOTONIC)."""

    n: int
    began: float
    ended: float


@dataclass(frozen=True)
class Epoch:
    """One holder: where it was, when it had the project at the latest, and what was acknowledged."""

    number: int
    host: str
    held: float
    writes: tuple[Write, ...] = ()


@dataclass(frozen=True)
class History:
    """`landed` is what the file has in the end, in its order; None stands for a line that is no record."""

    epochs: tuple[Epoch, ...]
    landed: tuple[tuple[int, int] | None, ...]
    complaints: tuple[str, ...] = field(default=())
    """Of `gocryptfs -fsck`."""


def faults(history: History) -> list[str]:
    """What may not have happened; empty if everything is right."""
    return [
        *_unreadable(history),
        *_unknown(history),
        *_late(history),
        *_twice_or_out_of_order(history),
        *_lost(history),
        *_two_holders(history),
        *(f"fsck: {line}" for line in history.complaints),
    ]


def _unreadable(history: History) -> Iterator[str]:
    for at, record in enumerate(history.landed):
        if record is None:
            yield f"line {at} is no record"


def _unknown(history: History) -> Iterator[str]:
    known = {epoch.number for epoch in history.epochs}
    for number in sorted({record[0] for record in history.landed if record} - known):
        yield f"nobody had epoch {number}"


def _late(history: History) -> Iterator[str]:
    """An older holder's record behind a newer one's: it was written after the project had gone to somebody else."""
    newest = 0
    for record in history.landed:
        if record and record[0] < newest:
            yield f"{_named(record)} landed after epoch {newest} had begun"
        elif record:
            newest = record[0]


def _twice_or_out_of_order(history: History) -> Iterator[str]:
    for epoch in history.epochs:
        landed = [record for record in history.landed if record and record[0] == epoch.number]
        for before, after in pairwise(landed):
            if after[1] <= before[1]:
                yield f"{_named(after)} landed after {_named(before)}"


def _lost(history: History) -> Iterator[str]:
    landed = set(history.landed)
    for epoch in history.epochs:
        for write in epoch.writes:
            if (record := (epoch.number, write.n)) not in landed:
                yield f"{_named(record)} was acknowledged on {epoch.host} and is not there"


def _two_holders(history: History) -> Iterator[str]:
    """A write that began after somebody else had the project, and was acknowledged."""
    epochs = sorted(history.epochs, key=lambda epoch: epoch.number)
    for older, newer in pairwise(epochs):
        for write in older.writes:
            if write.began > newer.held:
                since = f"{write.began - newer.held:.3f} s after {newer.host} had the project"
                yield f"{_named((older.number, write.n))} was begun on {older.host} {since}, and acknowledged"


def _named(record: tuple[int, int]) -> str:
    return f"record {record[1]} of epoch {record[0]}"
