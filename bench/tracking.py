"""What I/O tracking costs the warden, at 1,000, 10,000 and 100,000 directories: the time until all are watched, its
memory, its CPU while files are read; and the CPU time of an idle session.

`bench.following` measures what tracking costs the user. Needs root.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import time
from pathlib import Path

from bench import place
from bench.measure import Row, may_run_as_root, pss
from tests.harness import Gateway, Person, eventually
from tests.harness import run as run_to_end

SIZES = (1_000, 10_000, 100_000)
IDLE_FOR = 60.0
_TICK = os.sysconf("SC_CLK_TCK")


def run(sizes: tuple[int, ...] = SIZES) -> list[Row]:
    """Measure one project, which grows."""
    if not may_run_as_root("tracking"):
        return []
    rows: list[Row] = []
    with place.gateway() as gateway, tempfile.TemporaryDirectory(prefix="enc-bench-") as name:
        who = gateway.person("busy")
        who.new("tree")
        source = Path(name) / "tree"
        for size in sizes:
            _grow(source, size)
            with who.mounted("tree"):
                _rsync(who, f"{source}/", "gateway:tree/")
            eventually(lambda: not gateway.leftovers())
            rows += _watching(gateway, who, size)
        rows.append(_idle(gateway, who))
    return rows


def _grow(source: Path, size: int) -> None:
    for number in range(size):
        directory = source / f"{number // 1000}" / f"{number % 1000}"
        if not directory.exists():
            directory.mkdir(parents=True)
            (directory / "file").write_bytes(b"x" * 2000)


def _rsync(who: Person, source: str, target: str) -> None:
    copied = run_to_end(["rsync", "-r", "-e", "ssh " + " ".join(who.options), source, target], timeout=1800)
    assert copied.status == 0, copied


def _pids(gateway: Gateway) -> dict[str, int]:
    """The scanner looks like the warden; its processor time is the warden's once it has ended."""
    found = {program: pid for pid, program in place.session_pids(gateway).items()}
    return {**found, "warden": gateway.warden()}


def _watching(gateway: Gateway, who: Person, size: int) -> list[Row]:
    began = time.monotonic()
    with who.mounted("tree"):
        pids = _pids(gateway)
        full = _watches_when_stable(pids["warden"], min(size, 20_000))
        took = time.monotonic() - began
        used = _cpu(pids["warden"])
        rows = [
            Row(f"watch set, {size} directories", f"{full} watches in {took:.1f} s", "-", f"{used:.1f} s of CPU", "-"),
            Row(f"warden's memory, {size} directories", f"{pss(pids['warden']):.1f} MiB PSS", "-", "-", "-"),
        ]
        before = {name: _cpu(pid) for name, pid in pids.items()}
        walk = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="enc-bench-") as back:
            _rsync(who, "gateway:tree/0/", back)
        walk = time.monotonic() - walk
        spent = {name: _cpu(pid) - before[name] for name, pid in pids.items()}
        share = f"{spent['warden'] / walk:.1%} of a core"
        rows.append(Row(f"reading 1,000 files, {size} directories", f"{walk:.2f} s", "-", share, "2%"))
    eventually(lambda: not gateway.leftovers())
    return rows


def _watches_when_stable(warden: int, wanted: int) -> int:
    """The number of watches, once it is `wanted` or has not grown for 3 s."""
    seen, since = 0, time.monotonic()
    while seen < wanted and time.monotonic() - since < 3:
        count = _watches(warden)
        if count != seen:
            seen, since = count, time.monotonic()
        time.sleep(0.05)
    return seen


def _watches(pid: int) -> int:
    """inotify watches, from fdinfo (proc(5))."""
    count = 0
    for entry in Path(f"/proc/{pid}/fdinfo").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the descriptor was closed meanwhile
            count += entry.read_text().count("inotify wd:")
    return count


def _cpu(pid: int) -> float:
    """Seconds of processor time so far, with that of children which have ended."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, words[11:15])) / _TICK


def _precise_cpu(pid: int) -> float:
    """The same for all threads from the scheduler's statistics, which also count less than a tick."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9


def _idle(gateway: Gateway, who: Person) -> Row:
    with who.mounted("tree"):
        pids = _pids(gateway)
        _watches_when_stable(pids["warden"], 20_000)
        time.sleep(5)
        before = {name: _precise_cpu(pid) for name, pid in pids.items()}
        time.sleep(IDLE_FOR)
        hour = {name: (_precise_cpu(pid) - before[name]) * 3600 / IDLE_FOR for name, pid in pids.items()}
    said = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in hour.items())
    return Row("processor time of an idle session, per hour", f"{sum(hour.values()):.2f} s", "-", said, "-")


if __name__ == "__main__":
    from bench.measure import table

    print(table(run(tuple(map(int, sys.argv[1:])) or SIZES)))
