"""Exponential backoff after wrong passphrases: each one in a row doubles the delay before the next attempt.

Each principal has a small file, which is locked during an attempt; so a principal's attempts run one after the other,
and do not delay those of others. The file has a line for each project: somebody who guesses with a stolen key must not
clear the failures by unlocking a project of their own. The attempt ends in the warden, which inherits the descriptor.

Where several hosts share the file, a failure may be another host's, whose clocks say nothing here. So each has its time
since boot, and the boot that it is of: one of another boot counts as one of now, for the whole delay. By the wall clock
it is only forgotten, after a day, which no clock should be wrong by.
"""

from __future__ import annotations

import functools
import os
import time

from gateway.base import locks
from gateway.base.clock import boottime
from gateway.base.records import Record
from gateway.limits import concurrency

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.base.records import Fd
    from gateway.identity.names import Named, Principal

ATTEMPTS = "attempts"
"""The directory of the files."""
_MAX_BYTES = 256 * 1024
"""Read of a principal's file: more than 2,000 projects."""
_MAX_DIGITS = 19
_CHECK_SECONDS = 0.5
RESET_AFTER = 900
"""Seconds without an attempt after which earlier failures no longer count."""
_RESET_ELSEWHERE = 24 * 3600
"""The same for failures of another boot, by two wall clocks."""


def begin_attempt(root: str, principal: Principal, check: Callable[[], None]) -> Fd:
    """Wait until the principal's other attempts have ended, and lock out new ones. `check` is called twice a second;
    what it raises ends the wait.

    `root` is as in gateway.limits.concurrency. Returns a descriptor that holds the lock; `end_attempt` closes it.
    Raises Misconfigured.
    """
    fd = concurrency.open_shared(root, ATTEMPTS, principal.directory)
    try:
        while not locks.acquire_within(fd, _CHECK_SECONDS):
            check()
    except BaseException:
        os.close(fd)
        raise
    return fd


def wait(seconds: float, check: Callable[[], None]) -> None:
    """Let the time of a delay pass. `check` is as in `begin_attempt`."""
    until = boottime() + seconds
    while (left := until - boottime()) > 0:
        time.sleep(min(left, _CHECK_SECONDS))
        check()


def delay(fd: int, project: Named, max_seconds: int) -> float:
    """Seconds to wait before this attempt: 0.5 after one failure, then doubling, at most `max_seconds`.

    The time since the last failure is subtracted.
    """
    last = _read(fd).get(project)
    if last is None:
        return 0.0
    return max(0.0, min(0.25 * 2.0 ** min(last.failures, 30), float(max_seconds)) - last.age)


def end_attempt(fd: int, project: Named, correct: bool | None) -> None:
    """Record whether the passphrase was correct, and close `fd`, so that the next attempt can begin.

    `correct` is None if that is not known (gocryptfs was killed, the vault is damaged). An attempt that was broken off
    must not clear the earlier failures.
    """
    if correct is not None:
        recorded = _read(fd)
        last = recorded.pop(project, None)
        if not correct:
            failures = last.failures + 1 if last else 1
            recorded[project] = _Failed(failures=failures, at=_now(), wall=_wall(), boot=_boot())
        os.ftruncate(fd, 0)
        os.pwrite(fd, b"".join(one.line(name) for name, one in recorded.items()), 0)
    os.close(fd)


class _Failed(Record):
    """How many failures in a row, and when the last one was: milliseconds since boot and since the epoch, and the boot
    ("": of a gateway that did not write it, which was alone).
    """

    failures: int
    at: int
    wall: int
    boot: str

    @property
    def _is_here(self) -> bool:
        return self.boot in ("", _boot())

    @property
    def age(self) -> float:
        """Seconds since the last, if it was in this boot; else 0."""
        return (_now() - self.at) / 1000 if self._is_here else 0.0

    @property
    def counts(self) -> bool:
        """Still, or at all: less than nothing has passed since what was before a reboot, which resets the clock."""
        if self._is_here:
            return 0 <= self.age < RESET_AFTER
        return (_wall() - self.wall) / 1000 < _RESET_ELSEWHERE

    def line(self, name: str) -> bytes:
        return b"%s %d %d %d %s\n" % (name.encode(), self.failures, self.at, self.wall, self.boot.encode())


def _read(fd: int) -> dict[str, _Failed]:
    """For each project what still counts."""
    recorded = {}
    for line in os.pread(fd, _MAX_BYTES, 0).splitlines():
        name, *words = line.split() or [b""]
        numbers, boot = [*words[:3], b"0"][:3], b"".join(words[3:4])
        if len(words) in (2, 4) and all(word.isdigit() and len(word) <= _MAX_DIGITS for word in numbers):
            failures, at, wall = map(int, numbers)
            found = _Failed(failures=failures, at=at, wall=wall, boot=boot.decode(errors="replace"))
            if found.counts:
                recorded[name.decode(errors="replace")] = found
    return recorded


def _now() -> int:
    """Milliseconds since boot."""
    return int(boottime() * 1000)


def _wall() -> int:
    """Milliseconds since the epoch."""
    return int(time.time() * 1000)


@functools.cache
def _boot() -> str:
    """What no other boot, of any host, has (random(4))."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()
