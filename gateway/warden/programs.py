"""Attached programs: started for a front, each in its own sandbox, stopped before the view they use is locked."""

from __future__ import annotations

import os
import socket

from gateway import errors
from gateway.base import process
from gateway.base.clock import boottime
from gateway.base.records import Fd, Record
from gateway.session import channel, protocol, traffic
from gateway.warden import mounts, processes
from gateway.warden.loop import HANGUP, Loop
from gateway.warden.tracking.usage import Usage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_CERTAIN = 5.0
"""Seconds within which SIGKILL has to have worked on everything that is not stuck in the kernel."""

_LOOKING = 1.0
"""Seconds for finding out who uses a view."""


class Program(Record):
    """One that runs for `front`; `label` is what `status` calls it, `view` what it keeps in use by what it does, and
    `terminals` where its devpts was made, which goes with it ("" for none). `traffic` is closed with it as well.
    """

    front: socket.socket
    label: str
    origin: str
    view: str = ""
    terminals: str = ""
    traffic: Fd | None = None

    @property
    def last_data(self) -> float:
        """When data last passed between it and the user (CLOCK_BOOTTIME); 0.0 if that is not known."""
        return 0.0 if self.traffic is None else traffic.last(self.traffic)


class Programs:
    """The attached programs of one session. `grace`: seconds between SIGTERM and SIGKILL. `uses` is told of a program
    that keeps a view in use, and when it last did something; that is looked at every `window()` seconds and at each
    `look`.
    """

    def __init__(
        self, loop: Loop, grace: int, uses: Callable[[Program, float], None], window: Callable[[], float]
    ) -> None:
        self._loop = loop
        self._grace = grace
        self._tell = uses
        self._window = window
        self._looks = False
        self._running: dict[int, Program] = {}
        self._usage: dict[int, Usage] = {}
        self._overdue: dict[int, errors.Stopped] = {}
        self._gone: Callable[[], bool] = lambda: True

    def start(self, argv: list[str], program: Program, stdio: Mapping[int, int], passed: Iterable[int] = ()) -> int:
        """Run `argv` on these descriptors; its front gets the exit status and is closed then. Returns its pid.

        A front that goes away ends its program.
        """
        pid = process.spawn(argv, stdio, passed, own_group=True)
        self._running[pid] = program
        self._usage[pid] = Usage(boottime())
        self._look_later()
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
        usage = self._usage.pop(pid)
        if usage.note_data(program.last_data) and program.view:
            self._tell(program, usage.at)
        if program.traffic is not None:
            os.close(program.traffic)
        if program.terminals:
            mounts.remove_terminals(program.terminals)
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

    def look(self) -> None:
        """Note what programs have done since the last look."""
        now, window = boottime(), self._window()
        used = processes.processor_seconds(self._running)
        for pid, program in self._running.items():
            usage = self._usage[pid]
            news = usage.note_data(program.last_data), usage.note_processor(now, used[pid], window)
            if any(news) and program.view:
                self._tell(program, usage.at)

    def _look_later(self) -> None:
        if not self._looks and any(program.view for program in self._running.values()):
            self._looks = True
            self._loop.at(self._window(), self._look_again)

    def _look_again(self) -> None:
        self._looks = False
        self.look()
        self._look_later()

    def report(self) -> list[dict[str, object]]:
        """Each program and what it last did, for `status`."""
        now = boottime()
        return [
            {
                "program": program.label,
                "origin": program.origin,
                "project": program.view,
                "last_activity": self._usage[pid].kind,
                "idle": round(now - self._usage[pid].at),
            }
            for pid, program in self._running.items()
        ]

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
