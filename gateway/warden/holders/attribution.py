"""Whose file I/O it is, when several hold a session.

The kernel tells that a file was read or written, not by whom. Who has an attached program (sftp-server and so sshfs,
rsync, git, what `run` started) that was busy at that time did it; where none stands out, each who has one may have.

Busy is what has waited and gone on more often than sftp-server does for a client that only asks whether its mount still
answers: one `statvfs` every 3 s. To read or write the smallest file takes four requests.
"""

from __future__ import annotations

from gateway.base.clock import boottime
from gateway.warden.programs import processes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.warden.loop import Loop
    from gateway.warden.programs.programs import Program, Programs

_QUIET = 0.4
"""Turns a second of a program that is not at work."""
_SLACK = 1
_WINDOW = 5.0
"""Seconds between two looks: after a longer silence, one small file would not stand out."""
_LEAST = 0.5


class Attribution:
    """Looks at the programs while `is_needed`, which `begin` says."""

    def __init__(self, loop: Loop, programs: Programs) -> None:
        self._loop = loop
        self._programs = programs
        self._before: Mapping[int, int] = {}
        self._at = 0.0
        self._active: list[Program] = []
        self._needed = False

    def need(self, needed: bool) -> None:
        """Whether there are several holders."""
        begins, self._needed = needed and not self._needed, needed
        if begins:
            self._look()
            self._loop.at(_WINDOW, self._again)

    def _again(self) -> None:
        if self._needed:
            self._look()
            self._loop.at(_WINDOW, self._again)

    def at_work(self) -> list[Program]:
        """Those that may be at work now."""
        if boottime() - self._at >= _LEAST:
            self._look()
        return self._active or list(self._programs.running().values())

    def _look(self) -> None:
        now, taken = boottime(), processes.turns(self._programs.running())
        limit = _QUIET * (now - self._at) + _SLACK
        running = self._programs.running()
        self._active = [running[pid] for pid, amount in taken.items() if amount - self._before.get(pid, 0) > limit]
        self._before, self._at = taken, now
