"""Writing files that others read: never half of one. And reading those that others could have written.

What is being made, a file or a directory, has a name beside its own that says so, and is given its own in one step.
Whoever makes something can be killed over it, so a staged name that is an hour old counts as abandoned. A session takes
a millisecond to make and a vault about a second, but a host can be suspended in between. The age is by the wall clock,
for it outlives a boot.
"""

from __future__ import annotations

import os
import stat
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

STAGED = ".new-"
"""How a staged name begins."""
ABANDONED_AFTER = 3600
"""Seconds since the last rename or change of attributes: a directory's other times are its maker's or its user's."""


def replace(
    path: str | os.PathLike[str],
    content: str | bytes,
    mode: int = 0o600,
    owner: tuple[int, int] | None = None,
    check: Callable[[], None] | None = None,
    durable: bool = True,
) -> None:
    """Put `content` at `path` in one rename: a reader, and a crash, sees the file before or the one after.

    `owner`: uid and gid, by default ours. `check` is called right before the rename, and may raise to stop it.
    `durable`: it also outlives a power failure. Raises OSError, and leaves nothing behind.
    """
    path = os.fspath(path)
    staged = _staged(path, content, mode, owner, durable)
    try:
        if check:
            check()
        os.rename(staged, path)
    except BaseException:
        os.unlink(staged)
        raise
    if durable:
        sync(os.path.dirname(path) or ".")


def create(path: str, content: str | bytes, mode: int = 0o600) -> None:
    """As `replace`, for a file that must not be there yet. Raises FileExistsError, OSError."""
    staged = _staged(path, content, mode, None, durable=True)
    try:
        os.link(staged, path)  # unlike a rename, it fails where there is one
    finally:
        os.unlink(staged)
    sync(os.path.dirname(path) or ".")


def sync(path: str) -> None:
    """fsync(2) of a file or directory. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def read(path: str, largest: int) -> bytes:
    """The content of the file `path` in a directory that somebody else can write: a link is not followed, a FIFO or a
    device not waited for, and no more than `largest` bytes are taken. Raises OSError, also for what is no such file.
    """
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(f"{path} is no regular file")
        if found.st_size > largest:
            raise OSError(f"{path} has more than {largest} bytes")
        return os.read(fd, largest)
    finally:
        os.close(fd)


def _staged(path: str, content: str | bytes, mode: int, owner: tuple[int, int] | None, durable: bool) -> str:
    """The name of a new file with `content`, to be given its own name."""
    data = content if isinstance(content, bytes) else content.encode(errors="surrogateescape")
    staged = staged_name(path)
    fd = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        if owner:
            os.fchown(fd, *owner)
        os.fchmod(fd, mode)
        while data:
            data = data[os.write(fd, data) :]
        if durable:
            os.fsync(fd)
    except BaseException:
        os.unlink(staged)
        raise
    finally:
        os.close(fd)
    return staged


def staged_name(path: str) -> str:
    """A staged name for `path`, in the same directory: two makers at once get two."""
    directory, name = os.path.split(path)
    return os.path.join(directory, f"{STAGED}{name}-{os.urandom(4).hex()}")


def abandoned(directory: str) -> tuple[str, ...]:
    """The paths in `directory` that are staged and have lost their maker."""
    try:
        names = os.listdir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return ()
    paths = (os.path.join(directory, name) for name in names if name.startswith(STAGED))
    return tuple(path for path in paths if is_older(path, ABANDONED_AFTER))


def is_older(path: str, seconds: float) -> bool:
    """Whether `path` was renamed or changed longer ago than that; not what is gone."""
    try:
        return time.time() - os.lstat(path).st_ctime > seconds
    except FileNotFoundError:
        return False
