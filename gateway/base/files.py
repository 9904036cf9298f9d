"""Write files atomically, and read files that another account may have written.

A file or directory that is being made has a staged name in the same directory. It is renamed when it is complete. A
process can be killed before that, so a staged name older than an hour counts as abandoned: making a session takes a
millisecond and a vault about a second, but the host can be suspended in between. The age goes by the wall clock,
because files outlive a boot.
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
    """Replace the file `path` by one with `content`, in one rename: a reader or a crash sees the old file or the new.

    `owner` is a uid and gid, by default ours. `check` is called right before the rename; if it raises, the old file
    stays. With `durable`, the new file also survives a power failure. Raises OSError, and leaves no staged file behind.
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
    """Like `replace`, for a file that must not exist yet. Raises FileExistsError, OSError."""
    staged = _staged(path, content, mode, None, durable=True)
    try:
        os.link(staged, path)  # unlike rename(2), it fails if `path` exists
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


def read(path: str, max_bytes: int) -> bytes:
    """Read a file in a directory that another account can write to.

    Does not follow a symbolic link, and does not block on a FIFO or device. Raises OSError if `path` is not a regular
    file, or has more than `max_bytes`.
    """
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(f"{path} is not a regular file")
        if found.st_size > max_bytes:
            raise OSError(f"{path} has more than {max_bytes} bytes")
        return os.read(fd, max_bytes)
    finally:
        os.close(fd)


def _staged(path: str, content: str | bytes, mode: int, owner: tuple[int, int] | None, durable: bool) -> str:
    """Write `content` to a new staged file beside `path`, and return its path. The caller renames or removes it."""
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
