"""Waiting for the end of any of some processes, or for a while: what watchdog and monitors spend their lives in."""

from __future__ import annotations

import os
import select
from collections.abc import Iterable

from client.system import processes
from client.system.processes import Process


class Ends:
    """The ends of some processes, seen through pidfds. One that has ended already is seen at once."""

    def __init__(self, followed: Iterable[Process | None]) -> None:
        self._handles = [processes.handle(process) for process in followed]

    def wait(self, seconds: float, *others: int) -> None:
        """Until one has ended, or there is something to read from one of `others`, or the time is up."""
        waiting = select.poll()
        for fd in others:
            waiting.register(fd, select.POLLIN)
        for handle in self._handles:
            if handle is None:
                return
            waiting.register(handle, select.POLLIN)
        waiting.poll(seconds * 1000)

    def close(self) -> None:
        for handle in self._handles:
            if handle is not None:
                os.close(handle)
        self._handles = []
