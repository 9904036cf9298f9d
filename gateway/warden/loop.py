"""The warden's event loop: descriptors, signals and children, in one thread.

Small on purpose: asyncio would cost each session 6 MiB. As PID 1 it also reaps what it did not start.

No callback waits for anything. What takes several steps with waits between them is a generator (`Steps`): it yields a
condition and the seconds to wait for it at most, and gets back whether the condition came to hold. The loop attends to
everything else meanwhile, to other `Steps` as well.
"""

from __future__ import annotations

import heapq
import os
import select
import signal

from gateway.base import syscalls
from gateway.base.clock import boottime
from gateway.base.process import exit_status

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import Any, TypeAlias, TypeVar

    T = TypeVar("T")
    Steps: TypeAlias = Generator[tuple[Callable[[], bool], float], bool, T]

READ = select.POLLIN

HANGUP = 0
"""Events to watch for; errors and hang-ups are always reported (poll(2))."""


_TICK_MS = 20
"""Between two looks at what `Steps` wait for: not every condition comes with an event."""


class Loop:
    """`run` until `stop`. Callbacks run one at a time; one that raises ends the loop with that exception."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._watched: dict[int, Callable[[int], None]] = {}
        self._children: dict[int, Callable[[int], None]] = {}
        self._signals: dict[int, Callable[[], None]] = {}
        self._pending: list[int] = []
        self._running = True
        self._followed: list[tuple[_Walk, Callable[[], object]]] = []
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self._timer = syscalls.timer()
        self._wakeup, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, _noop)
        self._poll.register(self._wakeup, READ)
        self._poll.register(self._timer, READ)

    def watch(self, fd: int, events: int, callback: Callable[[int], None]) -> None:
        """Call `callback(revents)` whenever `fd` is ready."""
        self._watched[fd] = callback
        self._poll.register(fd, events)

    def unwatch(self, fd: int) -> None:
        if self._watched.pop(fd, None):
            self._poll.unregister(fd)

    def on_signal(self, number: signal.Signals, callback: Callable[[], None]) -> None:
        self._signals[number] = callback
        signal.signal(number, _noop)

    def on_exit(self, pid: int, callback: Callable[[int], None]) -> None:
        """Call `callback(status)` once, when our child `pid` has ended."""
        self._children[pid] = callback

    def at(self, delay: float, callback: Callable[[], None]) -> None:
        """Call `callback` once, `delay` seconds from now, time suspended included."""
        self._count += 1  # keeps two timers of one moment in order, and apart
        heapq.heappush(self._timers, (boottime() + delay, self._count, callback))
        syscalls.set_timer(self._timer, self._timers[0][0])

    def _run_timers(self) -> None:
        """What is due now. What a callback sets for now comes with the next round, so that nothing else starves."""
        moment = boottime()
        due = []
        while self._timers and self._timers[0][0] <= moment:
            due.append(heapq.heappop(self._timers))
        for _, _, callback in due:
            if self._running:
                callback()
        if self._timers:
            syscalls.set_timer(self._timer, self._timers[0][0])

    def follow(self, steps: Steps[T], done: Callable[[T], object]) -> None:
        """Take the first of the `steps` now and the others in `run`; call `done` with what they return."""
        walk = _Walk(steps)
        self._followed.append((walk, lambda: done(walk.result)))
        self._advance(*self._followed[-1])

    def _advance(self, walk: _Walk, done: Callable[[], object]) -> bool:
        """Whether the last step was taken."""
        if not walk.advance():
            return False
        self._followed.remove((walk, done))
        done()
        return True

    def stop(self) -> None:
        self._running = False

    def run(self) -> None:
        while self._running:
            for fd, events in self._poll.poll(_TICK_MS if self._followed else None):
                if fd == self._wakeup:
                    self._drain()
                elif fd == self._timer:
                    _drain_timer(fd)
                    self._run_timers()
                elif fd in self._watched:  # an earlier callback of this round may have unwatched it
                    self._watched[fd](events)
            while self._pending:
                self._signals[self._pending.pop(0)]()
            while any(self._advance(*one) for one in tuple(self._followed)):  # one may wait for another
                continue

    def _drain(self) -> None:
        try:
            numbers = os.read(self._wakeup, 512)
        except BlockingIOError:
            return
        if signal.SIGCHLD in numbers:
            self._reap()
        self._pending += [number for number in numbers if number in self._signals]

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            callback = self._children.pop(pid, None)
            if callback:
                callback(exit_status(status))


class _Walk:
    """Steps that are under way."""

    result: Any = None

    def __init__(self, steps: Steps[Any]) -> None:
        self._steps = steps
        self._condition: Callable[[], bool] | None = None
        self._until = 0.0

    def advance(self) -> bool:
        """Take the steps that can be taken now; whether the last one was among them: then there is a `result`."""
        came = False
        while self._condition is None or (came := self._condition()) or boottime() >= self._until:
            try:
                self._condition, seconds = next(self._steps) if self._condition is None else self._steps.send(came)
            except StopIteration as end:
                self.result = end.value
                return True
            self._until = boottime() + seconds
        return False


def _drain_timer(fd: int) -> None:
    try:
        os.read(fd, 8)
    except BlockingIOError:  # set again since poll saw it
        return


def _noop(_number: int, _frame: object) -> None:
    """A handler has to exist for the wake-up descriptor to be written, and for PID 1 to get the signal at all."""
