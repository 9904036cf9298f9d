"""How we measure: what is compared runs in turns, so a busy machine burdens both sides; a median says what is usual.

Nothing here asserts a time. A bench prints; a person reads.
"""

from __future__ import annotations

import os
import select
import statistics
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

WARM_UP = 3
"""Rounds before those that count."""


@dataclass(frozen=True)
class Row:
    """One line of the table: `result` is what stands against `budget`."""

    what: str
    measured: str
    reference: str
    result: str
    budget: str


def in_turns(rounds: int, kinds: Mapping[str, Callable[[], float]]) -> dict[str, list[float]]:
    """Seconds that each of `kinds` reports, `rounds` times each. Every round begins with another one."""
    names = list(kinds)
    taken: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(WARM_UP + rounds):
        at = turn % len(names)
        for name in names[at:] + names[:at]:
            seconds = kinds[name]()
            if turn >= WARM_UP:
                taken[name].append(seconds)
    return taken


def time_of(argv: list[str]) -> float:
    """Seconds from the start of `argv` to its end, which must be a success; it reads and says nothing."""
    began = time.perf_counter()
    subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def until_gone(pids: Iterable[int], act: Callable[[], object], seconds: float = 60) -> float:
    """Call `act` and return the seconds until every process of `pids` has ended."""
    return max(ends(pids, act, seconds).values())


def ends(pids: Iterable[int], act: Callable[[], object], seconds: float = 60) -> dict[int, float]:
    """Call `act`; after how many seconds each process of `pids` has ended (pidfd_open(2): no polling)."""
    handles = {os.pidfd_open(pid): pid for pid in pids}
    waiting = select.poll()
    for handle in handles:
        waiting.register(handle, select.POLLIN)
    after: dict[int, float] = {}
    began = time.perf_counter()
    try:
        act()
        while handles:
            left = seconds - (time.perf_counter() - began)
            ended = [handle for handle, _ in waiting.poll(max(0.0, left) * 1000)]
            assert ended, f"{len(handles)} processes did not end within {seconds} s"
            for handle in ended:
                waiting.unregister(handle)
                os.close(handle)
                after[handles.pop(handle)] = time.perf_counter() - began
        return after
    finally:
        for handle in handles:
            os.close(handle)


def median(values: Iterable[float]) -> float:
    return statistics.median(values)


def ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"


def table(rows: Iterable[Row]) -> str:
    """`rows` as aligned columns under a heading."""
    cells = [("WHAT", "MEASURED", "REFERENCE", "RESULT", "BUDGET")]
    cells += [(row.what, row.measured, row.reference, row.result, row.budget) for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in cells)
