"""Locks on open files. All end with the last descriptor of the open file, however that comes to be closed.

`wait_for` and the contexts made of it are for taking turns: flock(2). `hold` is for what is held for life and asked
about by others: an open file description lock (fcntl(2), F_OFD_SETLK) on one byte of the file, which `is_held` sees
without taking it.
"""

from __future__ import annotations

import fcntl
import os
import struct

_FLOCK = "hhqqi4x"  # struct flock of 64-bit Linux: type, whence, start, length, pid


def wait_for(fd: int) -> None:
    """Take the lock of the file `fd`, when all who have it are gone."""
    fcntl.flock(fd, fcntl.LOCK_EX)


def try_for(fd: int) -> bool:
    """Take it if it is free; whether it is ours now."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def release(fd: int) -> None:
    """Give it back before `fd` is closed."""
    fcntl.flock(fd, fcntl.LOCK_UN)


class Directory:
    """For a block, the lock of the directory at `path`, as `wait_for` takes it; its descriptor.

    Raises OSError: without `wait`, BlockingIOError when somebody has the lock.
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


class OfProcess:
    """For a block, the lock of the file `fd` against all other processes, also those that inherited `fd` (POSIX locks,
    fcntl(2)). It goes when this process closes any descriptor of the file.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def __enter__(self) -> None:
        fcntl.lockf(self._fd, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        fcntl.lockf(self._fd, fcntl.LOCK_UN)


def hold(fd: int, byte: int = 0) -> bool:
    """Take the lock of one byte of the file, which need not exist; whether it is ours now, until `fd` is closed."""
    try:
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, byte, 1, 0))
    except (BlockingIOError, PermissionError):  # EAGAIN or EACCES: somebody has it
        return False
    return True


def is_held(fd: int, byte: int = 0) -> bool:
    """Whether another open file has that lock. Asking takes nothing, so two who ask do not see each other."""
    asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, byte, 1, 0)
    kind = struct.unpack(_FLOCK, fcntl.fcntl(fd, fcntl.F_OFD_GETLK, asked))[0]
    return bool(kind != fcntl.F_UNLCK)
