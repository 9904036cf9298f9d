"""Whose file I/O it is, when several hold a session.

The kernel tells that a file was read or written, not by whom. Who has an attached program (sftp-server and so sshfs,
rsync, git, what `run` started) that was busy at that time did it. Where none was, it keeps the view alone.

Busy is what has waited and gone on more often than sftp-server does for a client that only asks whether its mount still
answers. Measured: one `statvfs` (every 3 s) is 2 turns, to read the smallest file 7 or 8, to write it 11.
"""

from __future__ import annotations

from gateway.base.clock import boottime
from gateway.warden.programs import processes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gateway.identity.names import ProjectName
    from gateway.warden.loop import Loop
    from gateway.warden.programs.programs import Program, Programs

_QUIET = 0.8
"""Turns a second of a program that is not at work."""
_SLACK = 2
_WINDOW = 5.0
"""Seconds between two looks: after a longer silence, one small file would not stand out."""
_SETTLE = 1.0
"""From file I/O to the look that tells whose it is: it takes a moment until it stands out."""


class Attribution:
    """Calls `found(project, kind, at, programs)` for file I/O of the time `at` (CLOCK_BOOTTIME). Looks at the programs
    while `need` says so.
    """

    def __init__(
        self, loop: Loop, programs: Programs, found: Callable[[ProjectName, str, float, list[Program]], None]
    ) -> None:
        self._loop = loop
        self._programs = programs
        self._found = found
        self._seen: dict[ProjectName, tuple[str, float]] = {}
        self._before: Mapping[int, int] = {}
        self._at = 0.0
        self._needed = False

    def need(self, needed: bool) -> None:
        """Whether there are several holders."""
        begins, self._needed = needed and not self._needed, needed
        if begins:
            self._busy()
            self._loop.at(_WINDOW, self._again)

    def _again(self) -> None:
        if self._needed:
            self.settle()
            self._loop.at(_WINDOW, self._again)

    def see(self, project: ProjectName, kind: str) -> None:
        """There was file I/O. This may be called often."""
        if not self._seen:
            self._loop.at(_SETTLE, self.settle)
        self._seen[project] = kind, boottime()

    def settle(self) -> None:
        """Tell now whose it was."""
        busy, seen, self._seen = self._busy(), self._seen, {}
        for project, (kind, at) in seen.items():
            self._found(project, kind, at, busy)

    def _busy(self) -> list[Program]:
        """Those that have been at work since the last look."""
        running, now = self._programs.running(), boottime()
        taken = processes.turns(running)
        limit = _QUIET * (now - self._at) + _SLACK
        busy = [running[pid] for pid, count in taken.items() if count - self._before.get(pid, 0) > limit]
        self._before, self._at = taken, now
        return busy
