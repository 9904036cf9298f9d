"""Waiting for the first of several processes to end: watchdogs and monitors spend most of their time here."""

from __future__ import annotations

import os
import select
from collections.abc import Iterable

from client.system import processes
from client.system.processes import Process


class PidfdPoll:
    """Polls a pidfd for each process. A process that has already ended counts as ended. Call `close` at the end."""

    def __init__(self, watched: Iterable[Process | None]) -> None:
        self._pidfds = [processes.open_pidfd(process) for process in watched]

    def wait(self, seconds: float, *others: int) -> None:
        """Return when a process has ended, when one of the descriptors `others` is readable, or after `seconds`."""
        poll = select.poll()
        for fd in others:
            poll.register(fd, select.POLLIN)
        for pidfd in self._pidfds:
            if pidfd is None:
                return
            poll.register(pidfd, select.POLLIN)
        poll.poll(seconds * 1000)

    def close(self) -> None:
        for pidfd in self._pidfds:
            if pidfd is not None:
                os.close(pidfd)
        self._pidfds = []
