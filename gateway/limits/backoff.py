"""Exponential backoff after wrong passphrases: each one in a row doubles the delay before the next attempt.

Each principal has a small file, which is locked during an attempt; so a principal's attempts run one after the other,
and do not delay those of others. The file has a line for each project: somebody who guesses with a stolen key must not
clear the failures by unlocking a project of their own. The attempt ends in the warden, which inherits the descriptor.
"""

from __future__ import annotations

import os
import time

from gateway.base import locks
from gateway.base.clock import boottime
from gateway.limits import concurrency

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.base.records import Fd
    from gateway.identity.names import Named, Principal

_MAX_BYTES = 256 * 1024
"""Read of a principal's file: about 3,000 projects."""
_MAX_DIGITS = 19
_CHECK_SECONDS = 0.5
RESET_AFTER = 900
"""Seconds without an attempt after which earlier failures no longer count."""


def begin_attempt(run: str, principal: Principal, check: Callable[[], None]) -> Fd:
    """Wait until the principal's other attempts have ended, and lock out new ones. `check` is called twice a second;
    what it raises ends the wait.

    Returns a descriptor that holds the lock; `end_attempt` closes it. Raises Misconfigured.
    """
    fd = concurrency.open_shared(run, "attempts", principal.directory)
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
    failures, failed_at = _read(fd).get(project, (0, 0))
    if not failures:
        return 0.0
    return max(0.0, min(0.25 * 2.0 ** min(failures, 30), float(max_seconds)) - (_now() - failed_at) / 1000)


def end_attempt(fd: int, project: Named, correct: bool | None) -> None:
    """Record whether the passphrase was correct, and close `fd`, so that the next attempt can begin.

    `correct` is None if that is not known (gocryptfs was killed, the vault is damaged). An attempt that was broken off
    must not clear the earlier failures.
    """
    if correct is not None:
        recorded = _read(fd)
        failures = recorded.pop(project, (0, 0))[0]
        if not correct:
            recorded[project] = failures + 1, _now()
        lines = [b"%s %d %d\n" % (name.encode(), *values) for name, values in recorded.items()]
        os.ftruncate(fd, 0)
        os.pwrite(fd, b"".join(lines), 0)
    os.close(fd)


def _read(fd: int) -> dict[str, tuple[int, int]]:
    """For each project: how many failures in a row still count, and when the last one was (as `_now`)."""
    now = _now()
    recorded = {}
    for line in os.pread(fd, _MAX_BYTES, 0).splitlines():
        words = line.split()
        if len(words) == 3 and all(word.isdigit() and len(word) <= _MAX_DIGITS for word in words[1:]):
            failures, failed_at = int(words[1]), int(words[2])
            if 0 <= now - failed_at < RESET_AFTER * 1000:  # negative after a reboot, which resets the clock
                recorded[words[0].decode(errors="replace")] = failures, failed_at
    return recorded


def _now() -> int:
    """Milliseconds since boot."""
    return int(boottime() * 1000)
