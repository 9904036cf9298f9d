"""Attached programs: started for a front, each in its own sandbox, stopped before the view they use is locked."""

from __future__ import annotations

import os
import socket

from gateway import errors
from gateway.base import process
from gateway.base.clock import boottime
from gateway.base.records import Record
from gateway.session import channel, protocol
from gateway.warden import mounts, processes
from gateway.warden.loop import HANGUP, Loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_CERTAIN = 5.0
"""Seconds within which SIGKILL has to have worked on everything that is not stuck in the kernel."""

_LOOKING = 1.0
"""Seconds for finding out who uses a view."""


class Program(Record):
    """One that runs for `front`; `label` is what `status` calls it, `view` what its life keeps in use and `terminals`
    where its devpts was made, which goes with it ("" for none).
    """

    front: socket.socket
    label: str
    origin: str
    view: str = ""
    terminals: str = ""


class Programs:
    """The attached programs of one session. `grace`: seconds between SIGTERM and SIGKILL. `runs` is told of those that
    keep a view in use: at their end, and whenever `note_running` is called.
    """

    def __init__(self, loop: Loop, grace: int, runs: Callable[[Program], None]) -> None:
        self._loop = loop
        self._grace = grace
        self._tell = runs
        self._running: dict[int, Program] = {}
        self._overdue: dict[int, errors.Stopped] = {}
        self._gone: Callable[[], bool] = lambda: True

    def start(self, argv: list[str], program: Program, stdio: Mapping[int, int], passed: Iterable[int] = ()) -> int:
        """Run `argv` on these descriptors; its front gets the exit status and is closed then. Returns its pid.

        A front that goes away ends its program.
        """
        pid = process.spawn(argv, stdio, passed, own_group=True)
        self._running[pid] = program
        self._loop.on_exit(pid, lambda status: self._ended(pid, status))
        self._loop.watch(program.front.fileno(), HANGUP, lambda _: self._abandoned(pid))
        return pid

    def stop_after(self, pid: int, seconds: int) -> None:
        """End the program if it still runs then; its front is told why."""
        program = self._running[pid]

        def due() -> None:
            if self._running.get(pid) is program:
                self._overdue[pid] = errors.Stopped(f"the program was stopped after {seconds} s")
                processes.terminate(processes.trees([pid]))
                self._loop.at(self._grace, kill)

        def kill() -> None:
            if self._running.get(pid) is program:
                processes.kill_program(pid)

        self._loop.at(seconds, due)

    def _ended(self, pid: int, status: int) -> None:
        program, overdue = self._running.pop(pid), self._overdue.pop(pid, None)
        self._loop.unwatch(program.front.fileno())
        if program.terminals:
            mounts.remove_terminals(program.terminals)
        if program.view:
            self._tell(program)
        try:
            channel.send(program.front, protocol.failed(overdue) if overdue else protocol.Exited(status=status))
        except OSError:  # the front is gone, so nobody is left to be told
            pass
        finally:
            program.front.close()

    def _abandoned(self, pid: int) -> None:
        self._loop.unwatch(self._running[pid].front.fileno())
        processes.kill_program(pid)

    def labels(self) -> str:
        """Who could be at work in a view, for `status`."""
        return ", ".join(f"{one.label} from {one.origin}" for one in self._running.values())

    def note_running(self) -> None:
        """Tell of those that keep a view in use now."""
        for program in self._running.values():
            if program.view:
                self._tell(program)

    def holding(self, device: str) -> set[int]:
        """Those that use the file system `device`. To look at all that one may have open could take minutes: what we
        have not come to in time counts as using it.
        """
        deadline = boottime() + _LOOKING
        return {
            tree.monitor
            for tree in processes.trees(self._running)
            if any(boottime() > deadline or processes.holds(member, device) for member in tree.members())
        }

    def left(self) -> bool:
        """Whether something of a program that was to be stopped is still there."""
        return not self._gone()

    def all(self) -> set[int]:
        return set(self._running)

    def stop(self, chosen: set[int]) -> bool:
        """End the `chosen` programs with everything they started; whether all of it is gone."""
        trees = processes.trees(chosen)
        members = frozenset[int]().union(*(tree.members() for tree in trees))
        processes.terminate(trees)
        gone = self._gone = lambda: not any(os.path.exists(f"/proc/{pid}") for pid in members)
        if not self._loop.wait_for(gone, self._grace):
            for pid in chosen & set(self._running):
                processes.kill_program(pid)
        return self._loop.wait_for(gone, _CERTAIN)
