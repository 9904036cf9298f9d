"""When data last passed between a user and an attached program: a time in a memory file that front and warden share.

Only the front sees the data: it copies what goes through a terminal, and the kernel tells it of data in the pipes that
the program has from sshd (rshell.terminal.pipe_watch). It writes the time, at most once a second; the warden reads it
when it has to know. So a program that prints without a pause does not keep the warden busy.
"""

from __future__ import annotations

import os

from gateway.base.clock import boottime
from gateway.base.records import Fd

INTERVAL = 1.0
"""Seconds between two times that are written: a time is too early by this much at most."""

_BYTES = 8


def memory() -> Fd:
    """A new memory file for the time. The caller closes it."""
    return Fd(os.memfd_create("traffic"))


class Recorder:
    """The front's side of the memory file `fd`, which stays the caller's."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._next = 0.0

    def data_passed(self) -> None:
        now = boottime()
        if now >= self._next:
            self._next = now + INTERVAL
            os.pwrite(self._fd, int(now * 1000).to_bytes(_BYTES, "little"), 0)


def last(fd: int) -> float:
    """When data last passed (CLOCK_BOOTTIME, seconds); 0.0 if none has."""
    return int.from_bytes(os.pread(fd, _BYTES, 0), "little") / 1000
