"""File locks. The kernel releases each when its last descriptor is closed, however the process ended.

- `acquire`, `try_acquire` and `DirectoryLock`: mutual exclusion by flock(2).
- `hold`: an open file description lock (fcntl(2), F_OFD_SETLK) on one byte of a file, held for the life of a process.
  `is_held` tests it without taking it.
- `ProcessLock`: a POSIX lock (fcntl(2)), for processes that share one open file.
"""

from __future__ import annotations

import fcntl
import os
import struct

_FLOCK = "hhqqi4x"  # struct flock of 64-bit Linux: type, whence, start, length, pid


def acquire(fd: int) -> None:
    """Lock the file `fd`; waits until it is free."""
    fcntl.flock(fd, fcntl.LOCK_EX)


def acquire_within(fd: int, seconds: float) -> bool:
    """Lock the file `fd` once it is free; whether it was within `seconds`. It uses SIGALRM, for flock(2) has no limit:
    the kernel keeps those who wait in order, and many who ask again and again would not be.
    """
    if try_acquire(fd):
        return True
    if not seconds:
        return False
    from _signal import ITIMER_REAL, SIGALRM, setitimer, signal  # type: ignore[import-not-found]

    def late(_number: int, _frame: object) -> None:
        raise TimeoutError

    before = signal(SIGALRM, late)
    try:
        timer = setitimer(ITIMER_REAL, seconds)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
        finally:
            setitimer(ITIMER_REAL, *timer)
    except TimeoutError:
        return False
    finally:
        signal(SIGALRM, before)
    return True


def try_acquire(fd: int) -> bool:
    """Lock the file `fd` if it is free. Returns whether it is ours now."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_taken(fd: int) -> bool:
    """Whether somebody else has locked the file `fd`; for a moment it keeps others from locking it."""
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(fd, fcntl.LOCK_UN)
    return False


def release(fd: int) -> None:
    """Unlock the file `fd` before it is closed."""
    fcntl.flock(fd, fcntl.LOCK_UN)


class DirectoryLock:
    """A context that holds the lock of the directory `path` (flock(2)); its value is the directory's descriptor.

    Raises OSError. Without `wait`, that is BlockingIOError if another process has the lock.
    """

    def __init__(self, path: str, wait: bool = True) -> None:
        self._path = path
        self._wait = wait

    def __enter__(self) -> int:
        self._fd = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | (0 if self._wait else fcntl.LOCK_NB))
        except OSError:
            os.close(self._fd)
            raise
        return self._fd

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)


class ProcessLock:
    """A context that locks the file `fd` against all other processes, including those that inherited `fd`.

    It is a POSIX lock (fcntl(2)): the kernel also releases it when this process closes any descriptor of the file.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def __enter__(self) -> None:
        fcntl.lockf(self._fd, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        fcntl.lockf(self._fd, fcntl.LOCK_UN)


def hold(fd: int, byte: int = 0) -> bool:
    """Lock one byte of the file `fd` until it is closed. Returns False if another open file has the lock.

    The byte may lie beyond the end of the file.
    """
    try:
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, byte, 1, 0))
    except (BlockingIOError, PermissionError):  # EAGAIN or EACCES: somebody has it
        return False
    return True


def let_go(fd: int, byte: int = 0) -> None:
    """Release the lock that `hold` took, while `fd` stays open."""
    fcntl.fcntl(fd, fcntl.F_OFD_SETLK, struct.pack(_FLOCK, fcntl.F_UNLCK, os.SEEK_SET, byte, 1, 0))


def is_held(fd: int, byte: int = 0) -> bool:
    """Whether another open file has that lock. This takes no lock, so two callers do not disturb each other."""
    query = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, byte, 1, 0)
    kind = struct.unpack(_FLOCK, fcntl.fcntl(fd, fcntl.F_OFD_GETLK, query))[0]
    return bool(kind != fcntl.F_UNLCK)
