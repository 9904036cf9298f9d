"""The directory that a project is mounted at: ours alone, empty, and read-only while nothing is mounted there.

Read-only, so that an editor that still has a path below it cannot save plaintext on this machine's disk after the
mount is gone. Everything is done through one descriptor of the directory, which stays that directory when the path
is made to lead elsewhere.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from typing import NamedTuple

from client.errors import CannotCreate
from client.system import linux as platform

_CLOSED = 0o500
_OPEN = 0o700


class MountPoint(NamedTuple):
    """`path` is absolute and has no symlink in it; `made` says that the directory is of our making."""

    path: str
    made: bool


def default(project: str) -> str:
    """~/enc/PROJECT, with ~/enc made when it is not there. Raises CannotCreate."""
    parent = os.path.join(os.path.expanduser("~"), "enc")
    try:
        os.makedirs(parent, 0o700, exist_ok=True)
    except OSError as error:
        raise _refused(parent, error) from error
    return os.path.join(parent, project)


@contextlib.contextmanager
def prepared(path: str) -> Iterator[MountPoint]:
    """Yields `path` ready for a mount; closed again afterwards, and removed if we made it and the block fails.

    Raises CannotCreate for what must not be mounted over.
    """
    parent = os.path.realpath(os.path.dirname(os.path.abspath(path)))
    full = os.path.join(parent, os.path.basename(os.path.abspath(path)))
    made = _make(full)
    try:
        fd = os.open(full, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise _refused(full, error) from error
    try:
        if not made:
            _check(full, fd)
        before = stat.S_IMODE(os.fstat(fd).st_mode)
        os.fchmod(fd, _OPEN)  # fusermount3 mounts for an ordinary user only where that one may write
        try:
            yield MountPoint(full, made)
        except BaseException:
            os.fchmod(fd, before)
            if made:
                with contextlib.suppress(OSError):
                    os.rmdir(full)
            raise
        os.fchmod(fd, _CLOSED)  # of the directory beneath the mount
    finally:
        os.close(fd)


def _make(path: str) -> bool:
    try:
        os.mkdir(path, _OPEN)
    except FileExistsError:
        return False
    except OSError as error:
        raise _refused(path, error) from error
    return True


def _check(path: str, fd: int) -> None:
    about = os.fstat(fd)
    if any(entry.path == path for entry in platform.mounts()):
        raise CannotCreate(f"{path} is a mount point already", "name another directory")
    if about.st_uid != os.geteuid():
        raise CannotCreate(f"{path} belongs to somebody else", "name a directory of your own")
    if os.listdir(fd):
        raise CannotCreate(f"{path} is not empty", "name an empty directory, or one that is not there yet")


def _refused(path: str, error: OSError) -> CannotCreate:
    if os.path.islink(path):
        return CannotCreate(f"{path} is a symlink", "name the directory itself")
    return CannotCreate(f"{path} cannot be a mount point: {error.strerror}", "name another directory")


def tidy(path: str, made: bool) -> None:
    """After the mount is gone: remove the directory if we made it and it is still empty."""
    if made:
        with contextlib.suppress(OSError):
            os.rmdir(path)
