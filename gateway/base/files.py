"""Write files atomically, and read files that another account may have written.

A file or directory that is being made has a staged name in the same directory. It is renamed when it is complete. A
process can be killed before that, so a staged name older than an hour counts as abandoned: making a session takes a
millisecond and a vault about a second, but the host can be suspended in between. The age goes by the wall clock,
because files outlive a boot.
"""

from __future__ import annotations

import errno
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


class Irregular(OSError):
    """Not a regular file, or a larger one than allowed: nothing that the gateway wrote."""


def open_regular(path: str, flags: int = os.O_RDONLY, dir_fd: int | None = None) -> int:
    """Open a regular file in a directory that another account can write to, and return its descriptor.

    Does not follow a symbolic link, and does not block on a FIFO, a device or a lease (fcntl(2)). Only the last
    component of `path` is guarded; `dir_fd` guards the ones before. A file that O_CREAT makes has mode 0600. Raises
    OSError, which is Irregular if `path` is something else than a regular file.
    """
    safe = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    try:
        fd = os.open(path, flags | safe, 0o600, dir_fd=dir_fd)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.EISDIR):  # a link; a FIFO or socket; a directory
            raise Irregular(error.errno, "not a regular file", path) from error
        raise
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise Irregular(errno.EINVAL, "not a regular file", path)
    return fd


def make_lock(path: str) -> int:
    """Open a file that is there to be locked, for reading and writing, and make it if it is missing. Then it is on the
    disk before anybody locks it: where hosts share a file system, a server of that forgets the locks of a file that it
    has not written yet when it is killed. Raises OSError.
    """
    fd = open_regular(path, os.O_RDWR | os.O_CREAT)
    try:
        os.fsync(fd)
        sync(os.path.dirname(path))
    except BaseException:
        os.close(fd)
        raise
    return fd


def read(path: str, max_bytes: int, dir_fd: int | None = None) -> bytes:
    """Read a file as `open_regular` opens it. Raises OSError, which is Irregular if it has more than `max_bytes`."""
    fd = open_regular(path, dir_fd=dir_fd)
    try:
        content = os.read(fd, max_bytes + 1)
        if len(content) > max_bytes:
            raise Irregular(errno.EFBIG, f"it has more than {max_bytes} bytes", path)
        return content
    finally:
        os.close(fd)


def open_directory(path: str, dir_fd: int | None = None) -> int:
    """Open a directory for the `dir_fd` of others. Raises NotADirectoryError, also for a symbolic link; OSError."""
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=dir_fd)


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
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return ()
    paths = (os.path.join(directory, name) for name in names if name.startswith(STAGED))
    return tuple(path for path in paths if is_older(path, ABANDONED_AFTER))


def remove_abandoned(directory: str) -> int:
    """Remove the staged files in `directory` that have lost their maker; how many. Directories stay, and no link is
    followed. What cannot be read or removed is left.
    """
    removed = 0
    try:
        fd = open_directory(directory)
    except OSError:
        return 0
    try:
        for path in abandoned(f"/proc/self/fd/{fd}"):
            try:
                os.unlink(os.path.basename(path), dir_fd=fd)
                removed += 1
            except OSError:  # gone meanwhile, a directory, or not ours
                continue
    finally:
        os.close(fd)
    return removed


def is_older(path: str, seconds: float) -> bool:
    """Whether `path` was renamed or changed longer ago than that; not what is gone."""
    try:
        return time.time() - os.lstat(path).st_ctime > seconds
    except FileNotFoundError:
        return False
