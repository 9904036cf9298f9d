"""The scanner as the warden sees it: a child process for the time that directories are to be visited."""

from __future__ import annotations

import os
import select
import signal
import socket

from gateway.warden.loop import READ, Loop
from gateway.warden.programs import processes
from gateway.warden.tracking import reports, scanning
from gateway.warden.tracking.reports import Kind, Report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_PACKETS = 16
"""That are read in one turn."""


class Scanner:
    """Of the view at `root`, for the inotify `instance`. Raises OSError when the host has no process or descriptor.

    `heard` gets each report; `ended` is called when the process has ended without `stop` or `kill`.
    """

    def __init__(
        self,
        loop: Loop,
        root: str,
        instance: int,
        heard: Callable[[Report], None],
        ended: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._heard = heard
        self._ended = ended
        self._has_exited = False
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self._pid = os.fork()
        except OSError:
            self._channel.close()
            raise
        else:
            if self._pid == 0:
                scanning.become(theirs, root, instance)
        finally:
            theirs.close()
        loop.on_exit(self._pid, self._exited)
        loop.watch(self._channel.fileno(), READ, lambda _: self._read())

    def ask(self, visits: Iterable[tuple[int, bytes]]) -> None:
        """Have it go on, and make these visits. To be called when it rests; it does not wait."""
        try:
            self._channel.send(reports.pack_request(visits), socket.MSG_DONTWAIT)
        except OSError:  # it has just ended, of which we hear
            return

    def stop(self) -> None:
        """It ends when it rests."""
        if self._channel.fileno() >= 0:
            self._loop.unwatch(self._channel.fileno())
            self._channel.close()

    def kill(self, patience: float) -> None:
        """It ends at once, or with the file system that it waits for. Waits `patience` seconds at most for its end."""
        self.stop()
        if self._has_exited:
            return
        processes.kill(self._pid, signal.SIGKILL)
        try:
            handle = os.pidfd_open(self._pid)
        except OSError:  # no descriptor left
            return
        ended = select.poll()
        ended.register(handle, select.POLLIN)
        ended.poll(patience * 1000)
        os.close(handle)

    def _exited(self, _status: int) -> None:
        self._has_exited = True

    def _read(self) -> None:
        for _ in range(_PACKETS):
            try:
                packet = self._channel.recv(reports.MOST_BYTES, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except OSError:
                packet = b""
            if not packet:
                self.stop()
                self._ended()
                return
            for report in reports.unpack(packet):
                self._heard(report)
                if report.kind is Kind.RESTED or self._channel.fileno() < 0:
                    return
