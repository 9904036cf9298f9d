"""How we measure: what is compared runs in turns, so that a busy machine slows both sides, and a median is reported.

Nothing here asserts a time: a bench prints, and a person judges.
"""

from __future__ import annotations

import os
import select
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

WARM_UP = 3
"""Rounds that are not counted."""


@dataclass(frozen=True)
class Row:
    """One line of the table. `result` is to be compared with `budget`."""

    what: str
    measured: str
    reference: str
    result: str
    budget: str


def in_turns(rounds: int, kinds: Mapping[str, Callable[[], float]]) -> dict[str, list[float]]:
    """Run each of `kinds` `rounds` times; return the seconds that they report. Each round starts with another kind."""
    names = list(kinds)
    taken: dict[str, list[float]] = {name: [] for name in names}
    for number in range(WARM_UP + rounds):
        at = number % len(names)
        for name in names[at:] + names[:at]:
            seconds = kinds[name]()
            if number >= WARM_UP:
                taken[name].append(seconds)
    return taken


def time_of(argv: list[str]) -> float:
    """Seconds from the start of `argv` to its end. It has no input and no output, and must succeed."""
    began = time.perf_counter()
    subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def until_gone(pids: Iterable[int], act: Callable[[], object], seconds: float = 60) -> float:
    """Call `act` and return the seconds until every process of `pids` has ended."""
    return max(exit_times(pids, act, seconds).values())


def exit_times(pids: Iterable[int], act: Callable[[], object], seconds: float = 60) -> dict[int, float]:
    """Call `act` and return after how many seconds each process of `pids` ended (by pidfd_open(2), without polling)."""
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


def pss(pid: int) -> float:
    """MiB of memory, of which shared pages count in part (proc(5), smaps_rollup). Needs root for a warden."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise AssertionError(f"process {pid} has no Pss")


def may_run_as_root(name: str) -> bool:
    """Whether we are root. If not, print that the bench `name` is skipped."""
    if os.geteuid() != 0:
        print(f"{name}: skipped, it needs root", file=sys.stderr)
    return os.geteuid() == 0


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
