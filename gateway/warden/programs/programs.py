"""Attached programs: started for a front, each in its own sandbox, stopped before the view they use is locked."""

from __future__ import annotations

import os
import signal
import socket

from gateway import errors
from gateway.base import json, process
from gateway.base.clock import boottime
from gateway.base.records import Fd, Record
from gateway.identity import authorized_keys
from gateway.session import channel, protocol, traffic
from gateway.warden import mounts
from gateway.warden.loop import HANGUP, Loop
from gateway.warden.programs import processes
from gateway.warden.programs.usage import Usage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from gateway.identity.names import ProjectName
    from gateway.warden.loop import Steps

_UMASK = 0o022
"""What a login has on Debian. Archives and packages carry it; on the gateway's disk a vault is closed to others."""

_CERTAIN = 0.3
"""Seconds within which SIGKILL has to have worked on everything that is not stuck in the kernel."""

REVOKED_GRACE = 0.25
"""Seconds between SIGTERM and SIGKILL for programs of a key that is gone: 2 s after the edit they have ended."""

_LOOKING = 0.5
"""Seconds for finding out who uses a view."""


class Program(Record):
    """One that runs for `front`, at the request of a key; `label` is what `status` calls it, `view` what it keeps in
    use by what it does, and `terminals` where its devpts was made, which goes with it ("" for none). `traffic` is
    closed with it as well. What `is_typed_into` has no other data of its user's than what is typed at its terminals.
    """

    front: socket.socket
    label: str
    principal: str
    origin: str
    fingerprint: str
    blob: str
    view: str = ""
    terminals: str = ""
    traffic: Fd | None = None
    is_typed_into: bool = False

    @property
    def last_data(self) -> float:
        """When data last passed between it and the user (CLOCK_BOOTTIME); 0.0 if that is not known."""
        if self.is_typed_into:
            return mounts.last_typed(self.terminals)
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
        self.grace = grace
        self._tell = uses
        self._window = window
        self._looks = False
        self._running: dict[int, Program] = {}
        self._usage: dict[int, Usage] = {}
        self._ending: dict[int, errors.EncError] = {}
        self._stopped: set[int] = set()

    def start(self, argv: list[str], program: Program, stdio: Mapping[int, int], passed: Iterable[int] = ()) -> int:
        """Run `argv` on these descriptors; its front gets the exit status and is closed then. Returns its pid.

        A front that goes away ends its program.
        """
        before = os.umask(_UMASK)  # of users' programs; ours is closed to all others
        try:
            pid = process.spawn(argv, stdio, passed, own_group=True)
        finally:
            os.umask(before)
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
                self.end({pid}, errors.Stopped(f"the program was stopped after {seconds} s"), self.grace)

        self._loop.at(seconds, due)

    def revoke(self, principal: str, blob: str) -> list[Program]:
        """End the programs of the principal's key `blob`; their fronts are told why. Returns those to which that
        is new.
        """
        why = errors.Denied(f"the program was stopped: {authorized_keys.REVOKED}")
        chosen = {
            pid for pid, program in self._running.items() if (program.principal, program.blob) == (principal, blob)
        }
        chosen = {pid for pid in chosen if not isinstance(self._ending.get(pid), errors.Denied)}
        if chosen:
            self.end(chosen, why, REVOKED_GRACE)
        return [self._running[pid] for pid in chosen]

    def expel(self, principal: str, why: errors.EncError, gone: Callable[[], None]) -> None:
        """End all programs of the principal; `gone` is called when that is so, or one is stuck in the kernel."""
        self.end({pid for pid, one in self._running.items() if one.principal == principal}, why, REVOKED_GRACE)

        def wait() -> Steps[None]:
            yield lambda: principal not in {one.principal for one in self._running.values()}, REVOKED_GRACE + _CERTAIN

        self._loop.follow(wait(), lambda _: gone())

    def end(self, chosen: set[int], why: errors.EncError, grace: float) -> None:
        """SIGTERM now, and SIGKILL after `grace` seconds to what is left. Their fronts are told why."""
        chosen = {pid for pid in chosen if not isinstance(self._ending.get(pid), errors.Denied)}  # that is sooner
        programs = {pid: self._running[pid] for pid in chosen if pid in self._running}
        self._ending |= dict.fromkeys(programs, why)
        processes.terminate(processes.trees(programs))

        def kill() -> None:
            for pid, program in programs.items():
                if self._running.get(pid) is program:
                    processes.kill_program(pid)

        self._loop.at(grace, kill)

    def _ended(self, pid: int, status: int) -> None:
        program, why = self._running.pop(pid), self._ending.pop(pid, None)
        self._loop.unwatch(program.front.fileno())
        usage = self._usage.pop(pid)
        if usage.note_data(program.last_data) and program.view:
            self._tell(program, usage.at)
        if program.traffic is not None:
            os.close(program.traffic)
        if program.terminals:
            mounts.remove_terminals(program.terminals)
        try:
            channel.send(program.front, protocol.failed(why) if why else protocol.Exited(status=status))
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

    def keys(self) -> set[tuple[str, str]]:
        """For whom something runs, and by which key (blob)."""
        return {(program.principal, program.blob) for program in self._running.values()}

    def running(self) -> Mapping[int, Program]:
        """All of them, by pid."""
        return self._running

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
        """Each program, the key that it belongs to, and what it last did, for `status`."""
        now = boottime()
        return [
            {
                "program": program.label,
                "origin": program.origin,
                "fingerprint": program.fingerprint,
                "project": program.view,
                "last_activity": self._usage[pid].kind,
                "idle": round(now - self._usage[pid].at),
            }
            for pid, program in self._running.items()
        ]

    def holding(self, project: ProjectName) -> Steps[set[int]]:
        """Those that use the view of `project`; all of them when that cannot be found out in time. One may have
        thousands of files open to keep us looking, and a look at what it has mapped can wait for the view: so a child
        looks.
        """
        monitors = frozenset(self._running)
        if not monitors:
            return set()
        try:
            pid, reader = process.fork(lambda tell: tell(json.dumps(_holding(monitors, project)).encode()))
        except errors.EncError:
            return set(monitors)
        ended: list[int] = []
        self._loop.on_exit(pid, ended.append)
        try:
            if not (yield lambda: bool(ended), _LOOKING):
                processes.kill(pid, signal.SIGKILL)
            return set(json.loads(os.read(reader, 1 << 16))) if ended == [0] else set(monitors)
        finally:
            os.close(reader)

    def left(self) -> bool:
        """Whether something of the programs that were to be stopped is still there."""
        return not _gone(self._stopped)

    def all(self) -> set[int]:
        return set(self._running)

    def stop(self, chosen: set[int], grace: float | None = None) -> Steps[bool]:
        """End the `chosen` programs with everything they started; whether all of it is gone. `grace` is the usual one
        if it is None.
        """
        trees = processes.trees(chosen)
        members = frozenset[int]().union(*(tree.members() for tree in trees))
        self._stopped |= members
        processes.terminate(trees)
        if not (yield lambda: _gone(members), self.grace if grace is None else grace):
            for pid in chosen & set(self._running):
                processes.kill_program(pid)
        gone = yield lambda: _gone(members), _CERTAIN
        if gone:
            self._stopped -= members
        return gone


def _gone(pids: Iterable[int]) -> bool:
    return not any(os.path.exists(f"/proc/{pid}") for pid in pids)


def _holding(monitors: Iterable[int], project: ProjectName) -> list[int]:
    device = mounts.device(project)
    return [
        tree.monitor
        for tree in processes.trees(monitors)
        if any(processes.holds(member, device) for member in tree.members())
    ]
