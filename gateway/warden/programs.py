"""Attached programs: started for a front, each in its own sandbox, stopped before the view they use is locked."""

from __future__ import annotations

import os
import signal
import socket

from gateway import process, protocol, sandbox
from gateway.warden import processes
from gateway.warden.loop import HANGUP, Loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_CERTAIN = 5.0
"""Seconds within which SIGKILL has to have worked on everything that is not stuck in the kernel."""


class Programs:
    """The attached programs of one session. `grace`: seconds between SIGTERM and SIGKILL."""

    def __init__(self, loop: Loop, grace: int) -> None:
        self._loop = loop
        self._grace = grace
        self._running: dict[int, socket.socket] = {}
        self._labels: dict[int, str] = {}
        self._gone: Callable[[], bool] = lambda: True

    def start(self, request: protocol.Attach, fds: Sequence[int], front: socket.socket) -> None:
        """Run the requested program on the front's descriptors; `front` gets its exit status and is closed then.

        A front that goes away ends its program.
        """
        argv = sandbox.program_argv(request.program, request.arguments)
        pid = process.spawn(argv, dict(enumerate(fds)), apart=True)
        self._running[pid] = front
        self._labels[pid] = f"{request.program} from {request.origin}"
        self._loop.on_exit(pid, lambda status: self._ended(pid, status))
        self._loop.watch(front.fileno(), HANGUP, lambda _: self._abandoned(pid))

    def _ended(self, pid: int, status: int) -> None:
        front = self._running.pop(pid)
        del self._labels[pid]
        self._loop.unwatch(front.fileno())
        try:
            protocol.send(front, protocol.Exited(status=status))
        except OSError:  # the front is gone, so nobody is left to be told
            pass
        finally:
            front.close()

    def _abandoned(self, pid: int) -> None:
        self._loop.unwatch(self._running[pid].fileno())
        processes.terminate(pid)
        processes.kill(pid, signal.SIGKILL)

    def labels(self) -> str:
        """Who could be at work in a view, for `status`."""
        return ", ".join(self._labels.values())

    def holding(self, device: str) -> set[int]:
        """Those that use the file system `device`."""
        return {pid for pid in self._running if any(processes.holds(member, device) for member in processes.tree(pid))}

    def left(self) -> bool:
        """Whether something of a program that was to be stopped is still there."""
        return not self._gone()

    def all(self) -> set[int]:
        return set(self._running)

    def stop(self, chosen: set[int]) -> bool:
        """End the `chosen` programs with everything they started; whether all of it is gone."""
        for pid in chosen:
            processes.terminate(pid)
        gone = self._gone = self._all_gone(chosen)
        if not self._loop.wait_for(gone, self._grace):
            for pid in chosen & set(self._running):
                processes.kill(pid, signal.SIGKILL)
        return self._loop.wait_for(gone, _CERTAIN)

    def _all_gone(self, chosen: set[int]) -> Callable[[], bool]:
        members = set().union(*(processes.tree(pid) for pid in chosen)) if chosen else set()
        return lambda: not any(os.path.exists(f"/proc/{pid}") for pid in members)
