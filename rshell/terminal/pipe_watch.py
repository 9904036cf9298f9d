"""Learn that data passes through our standard pipes, which a program uses without us.

Signal-driven I/O (O_ASYNC of fcntl(2)) tells it: the kernel sends SIGIO to a reader of a pipe when something is written
to it, and to a writer when something is read. inotify would need one of the account's few instances for each program,
and a pipe's times tell nothing on Linux 6.18.
"""

from __future__ import annotations

import fcntl
import os
import signal
import stat
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_REST = 1.0
"""Seconds without signals after one, so that a stream of data does not cost us more than one a second."""


class PipeWatch:
    """Watches those of `fds` (0, 1 and 2) that are pipes. `fileno` is readable when `data_passed` has something to say.

    At the end, `close` it. SIGIO has a handler from then on, because by default it would end us.
    """

    def __init__(self, fds: Iterable[int]) -> None:
        self._wakeup, self._signals = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.signal(signal.SIGIO, _noop)
        signal.set_wakeup_fd(self._signals, warn_on_full_buffer=False)
        self._pipes = [_reopened(fd) for fd in fds if stat.S_ISFIFO(os.fstat(fd).st_mode)]
        for pipe in self._pipes:
            fcntl.fcntl(pipe, fcntl.F_SETOWN, os.getpid())
        self._rests_until = 0.0
        self._set(os.O_ASYNC)

    def fileno(self) -> int:
        return self._wakeup

    def timeout(self) -> float | None:
        """Milliseconds after which `data_passed` has to be called in any case; None while only a signal can come."""
        return max(0.0, self._rests_until - time.monotonic()) * 1000 if self._rests_until else None

    def data_passed(self) -> bool:
        """Whether data has passed since the last call."""
        if self._rests_until and time.monotonic() >= self._rests_until:
            self._rests_until = 0.0
            self._set(os.O_ASYNC)
        try:
            passed = signal.SIGIO in os.read(self._wakeup, 512)
        except BlockingIOError:
            return False
        if passed:
            self._set(0)
            self._rests_until = time.monotonic() + _REST
        return passed

    def _set(self, flag: int) -> None:
        for pipe in self._pipes:
            fcntl.fcntl(pipe, fcntl.F_SETFL, os.O_NONBLOCK | flag)

    def close(self) -> None:
        signal.set_wakeup_fd(-1)
        for fd in (*self._pipes, self._wakeup, self._signals):
            os.close(fd)


def _reopened(fd: int) -> int:
    """The pipe, opened once more: flags belong to the open file, and the program has that of `fd`."""
    mode = os.O_RDONLY if fd == 0 else os.O_WRONLY
    return os.open(f"/proc/self/fd/{fd}", mode | os.O_NONBLOCK | os.O_CLOEXEC)


def _noop(_number: int, _frame: object) -> None:
    """A signal needs a handler for the wake-up descriptor to be written."""
