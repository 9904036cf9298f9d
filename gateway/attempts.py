"""Wrong passphrases cost time: each one in a row doubles the wait before the principal's next attempt.

One small file a principal, locked for the length of an attempt, so attempts of one principal queue and those of
others do not notice. The attempt ends in the warden, which has the file as an inherited descriptor.
"""

from __future__ import annotations

import fcntl
import os
import time

from gateway.names import Principal

FORGOTTEN_AFTER = 900
"""Seconds without an attempt after which earlier failures no longer count."""


def begin(run: str, principal: Principal) -> int:
    """Wait for the principal's other attempts to end and take the turn: a descriptor, which `end` gives back."""
    directory = os.path.join(run, "attempts")
    os.makedirs(directory, 0o700, exist_ok=True)
    fd = os.open(os.path.join(directory, principal.directory), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(fd, fcntl.LOCK_EX)
    return fd


def wait(fd: int, longest: int) -> float:
    """Seconds to wait before this attempt: 0.5 after one failure, doubling, `longest` at most."""
    failures, since = _read(fd)
    if not failures:
        return 0.0
    return max(0.0, min(0.25 * 2.0 ** min(failures, 30), float(longest)) - since)


def end(fd: int, wrong: bool) -> None:
    """Note what came of the attempt and let the next one begin."""
    failures = _read(fd)[0] + 1 if wrong else 0
    os.ftruncate(fd, 0)
    os.pwrite(fd, b"%d %d" % (failures, time.clock_gettime(time.CLOCK_BOOTTIME) * 1000), 0)  # as _read has it: ms
    os.close(fd)


def _read(fd: int) -> tuple[int, float]:
    """Failures in a row that still count, and the seconds since the last attempt ended (CLOCK_BOOTTIME)."""
    words = os.pread(fd, 64, 0).split()
    if len(words) != 2 or not (words[0].isdigit() and words[1].isdigit()):
        return 0, 0.0
    since = time.clock_gettime(time.CLOCK_BOOTTIME) - int(words[1]) / 1000
    return (int(words[0]), since) if 0 <= since < FORGOTTEN_AFTER else (0, 0.0)  # a reboot starts the clock again
