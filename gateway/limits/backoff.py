"""Wrong passphrases cost time: each one in a row doubles the wait before the next attempt at the same project.

One small file a principal, locked for the length of an attempt, so attempts of one principal queue and those of
others do not notice. It has a line a project, for somebody who tries a colleague's key must not clear the failures by
unlocking a project of his own making. The attempt ends in the warden, which has the file as an inherited descriptor.
"""

from __future__ import annotations

import os
import time

from gateway.base import locks
from gateway.base.records import Fd

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.identity.names import Principal, ProjectName

FORGOTTEN_AFTER = 900
"""Seconds without an attempt after which earlier failures no longer count."""


def begin(run: str, principal: Principal) -> Fd:
    """Wait for the principal's other attempts to end and take the turn: a descriptor, which `end` gives back."""
    directory = os.path.join(run, "attempts")
    os.makedirs(directory, 0o700, exist_ok=True)
    fd = Fd(os.open(os.path.join(directory, principal.directory), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    locks.wait_for(fd)
    return fd


def wait(fd: int, project: ProjectName, longest: int) -> float:
    """Seconds to wait before this attempt: 0.5 after one failure, doubling, `longest` at most."""
    failures, ended = _read(fd).get(project, (0, 0))
    if not failures:
        return 0.0
    return max(0.0, min(0.25 * 2.0 ** min(failures, 30), float(longest)) - (_now() - ended) / 1000)


def end(fd: int, project: ProjectName, right: bool | None) -> None:
    """Note whether the passphrase was right and let the next attempt begin.

    None, when nobody learnt that (gocryptfs was killed, the vault is damaged): an attempt that is broken off must
    not clear the failures before it.
    """
    if right is not None:
        counted = _read(fd)
        failures = counted.pop(project, (0, 0))[0]
        if not right:
            counted[project] = failures + 1, _now()
        lines = [b"%s %d %d\n" % (name.encode(), *values) for name, values in counted.items()]
        os.ftruncate(fd, 0)
        os.pwrite(fd, b"".join(lines), 0)
    os.close(fd)


def _read(fd: int) -> dict[str, tuple[int, int]]:
    """Of each project the failures in a row that still count, and when the last one ended, as `_now` has it."""
    moment = _now()
    counted = {}
    for line in os.pread(fd, os.fstat(fd).st_size, 0).splitlines():
        words = line.split()
        if len(words) == 3 and words[1].isdigit() and words[2].isdigit():
            failures, ended = int(words[1]), int(words[2])
            if 0 <= moment - ended < FORGOTTEN_AFTER * 1000:  # a reboot starts the clock again
                counted[words[0].decode(errors="replace")] = failures, ended
    return counted


def _now() -> int:
    """Milliseconds, counting time suspended (CLOCK_BOOTTIME)."""
    return int(time.clock_gettime(time.CLOCK_BOOTTIME) * 1000)
