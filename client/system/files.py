"""Replacing a file as a whole, and advisory locks: the only module here that renames files or calls flock(2)."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os


def replace(path: str, text: str, mode: int = 0o600) -> None:
    """Replace the file at `path`: after a crash or power loss it has the old text or the new one, never a part.

    A symlink at `path` is replaced itself. Raises OSError: the old file is then unchanged, unless only the last step,
    syncing the directory, failed.
    """
    draft = f"{path}.new-{os.getpid()}"
    with contextlib.suppress(FileNotFoundError):  # of a process with our pid that was killed here
        os.unlink(draft)
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with open(fd, "w", encoding="utf-8", errors="surrogateescape") as file:
            os.fchmod(fd, mode)  # os.open subtracts the umask
            file.write(text)
            file.flush()
            os.fsync(fd)
        os.rename(draft, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(draft)
        raise
    _sync_directory(os.path.dirname(path) or ".")


def _sync_directory(path: str) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system that cannot sync directories (fsync(2))
            raise
    finally:
        os.close(fd)


def lock(fd: int) -> None:
    """Wait for the exclusive lock on the open file `fd`. It lasts until all descriptors of that file are closed."""
    fcntl.flock(fd, fcntl.LOCK_EX)


def open_locked(path: str) -> int:
    """A descriptor of the file at `path`, created if needed, exclusively locked. The caller closes it.

    Raises FileNotFoundError when its directory does not exist.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        lock(fd)
    except BaseException:
        os.close(fd)
        raise
    return fd


def is_locked(path: str) -> bool:
    """Whether some process holds an exclusive lock on the file; False when the file cannot be opened. Never waits."""
    try:
        with open(path, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        pass
    return False
