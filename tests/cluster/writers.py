"""Those who write the records of a history: a program that appends and syncs, and goes on whatever happens to it.

It runs in an unlocked project, or on the shared file system itself, with a lock of its own. After an error it writes
on, as a program that is not told that its host has lost the project. On the shared file system it writes within a file
that has its size already: that needs only the osds, and not the mds that knows who has the lock.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable

from tests.clients import Held
from tests.cluster.history import Epoch, Write
from tests.conditions import PATIENCE

LOG = "log"

_APPEND = """
import os, time
n = 0
while True:
    try:
        log = os.open("{log}", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        while True:
            n += 1
            began = time.monotonic()
            os.write(log, b"{epoch} %d\\n" % n)
            os.fsync(log)
            print("wrote", n, began, time.monotonic(), flush=True)
            time.sleep(0.05)
    except OSError as error:
        print("failed", error.errno, time.monotonic(), flush=True)
        time.sleep(0.05)
"""
_LOCKED = """
import errno, fcntl, os, time
lock = os.open("lock", os.O_RDWR | os.O_CREAT, 0o600)
os.fsync(lock)
while True:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        break
    except BlockingIOError:
        time.sleep(0.05)
print("held", time.monotonic(), flush=True)
log = os.open("{log}", os.O_RDWR)
n, at = 0, len(os.read(log, {size}).rstrip(b"\\0"))
while True:
    n += 1
    began = time.monotonic()
    try:
        at += os.pwrite(log, b"{epoch} %d\\n" % n, at)
        os.fdatasync(log)
        print("wrote", n, began, time.monotonic(), flush=True)
    except OSError as error:
        print("failed", error.errno, time.monotonic(), flush=True)
    time.sleep(0.01)
"""
SIZE = 1 << 16


def in_project(epoch: int) -> str:
    """The program for a project that is unlocked already."""
    return _APPEND.format(epoch=epoch, log=LOG)


def on_store(epoch: int) -> str:
    """The program for the working directory, which takes the lock there first. `LOG` is there, with SIZE zero bytes."""
    return _LOCKED.format(epoch=epoch, log=LOG, size=SIZE)


class Writer:
    """A running one, of one epoch, on a host. `held` is when it had the project, if its program does not say so."""

    def __init__(self, epoch: int, host: str, program: Held, held: float = 0.0) -> None:
        self._number, self._host, self._program, self._held = epoch, host, program, held

    def wait_for(self, word: str, seconds: float = PATIENCE) -> None:
        """Until it has said another `word`: held, wrote or failed."""
        said = self._program.said
        wanted = said.count(f"{word} ") + 1
        deadline = time.monotonic() + seconds
        while self._program.said.count(f"{word} ") < wanted:
            assert time.monotonic() < deadline, f"no {word!r} within {seconds} s after {said[-200:]!r}"
            self._program.read_more(max(0.0, deadline - time.monotonic()))

    def end(self) -> Epoch:
        """Kill it; what it was acknowledged."""
        while self._program.read_more(0.0):
            pass
        self._program.end()
        rows = [line.split() for line in self._program.said.splitlines(keepends=True) if line.endswith("\n")]
        writes = tuple(Write(int(row[1]), float(row[2]), float(row[3])) for row in rows if row[0] == "wrote")
        held = next((float(row[1]) for row in rows if row[0] == "held"), self._held)
        return Epoch(self._number, self._host, held, writes)


def landed(text: str) -> tuple[tuple[int, int] | None, ...]:
    """The records in the text of the file."""
    return tuple(_record(line) for line in text.rstrip("\0").splitlines())


def _record(line: str) -> tuple[int, int] | None:
    found = re.fullmatch(r"(\d+) (\d+)", line)
    return (int(found[1]), int(found[2])) if found else None


def count(epochs: Iterable[Epoch]) -> int:
    return sum(len(epoch.writes) for epoch in epochs)
