"""The directory of a mount: the user's own, empty, and read-only while nothing is mounted there.

It is read-only so that an editor which still has a path in it cannot save plaintext on this machine's disk after the
mount is gone. Everything uses one descriptor of the directory, so replacing the path has no effect.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from typing import NamedTuple

from client.errors import CannotCreate
from client.system import linux

_UNMOUNTED_MODE = 0o500
_MOUNTING_MODE = 0o700


class MountPoint(NamedTuple):
    """`path` is absolute and without symlinks; `made` says that enc made the directory."""

    path: str
    made: bool


def default_path(project: str) -> str:
    """~/enc/PROJECT; creates the directory that it is in when that does not exist. Raises CannotCreate: nothing is made
    in a project that is mounted at ~/enc/OWNER, nor behind a link there.
    """
    path = os.path.join(_home(), project)
    parent = os.path.dirname(path)
    if parent != _home() and (os.path.islink(parent) or any(one.path == parent for one in linux.mount_table())):
        what = "a symlink" if os.path.islink(parent) else "a mount itself"
        raise CannotCreate(f"{parent} is {what}", f"name a directory: `enc mount {project} DIR`")
    try:
        os.makedirs(parent, 0o700, exist_ok=True)
    except OSError as error:
        raise _refused(parent, error) from error
    return path


def _home() -> str:
    return os.path.join(os.path.expanduser("~"), "enc")


@contextlib.contextmanager
def prepared(path: str) -> Iterator[MountPoint]:
    """Yields `path` ready for mounting; makes it read-only afterwards. When the block fails, restores what was there.

    Raises CannotCreate for a path on which enc does not mount.
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
        os.fchmod(fd, _MOUNTING_MODE)  # fusermount3 lets an ordinary user mount only on a directory they can write to
        try:
            yield MountPoint(full, made)
        except BaseException:
            os.fchmod(fd, before)
            remove_if_made(full, made)
            raise
        os.fchmod(fd, _UNMOUNTED_MODE)  # of the directory below the mount
    finally:
        os.close(fd)


def _make(path: str) -> bool:
    try:
        os.mkdir(path, _MOUNTING_MODE)
    except FileExistsError:
        return False
    except OSError as error:
        raise _refused(path, error) from error
    return True


def _check(path: str, fd: int) -> None:
    if any(entry.path == path for entry in linux.mount_table()):
        raise CannotCreate(f"something is already mounted at {path}", "name another directory")
    if os.fstat(fd).st_uid != os.geteuid():
        raise CannotCreate(f"{path} belongs to another user", "name a directory of your own")
    if os.listdir(fd):
        raise CannotCreate(f"{path} is not empty", "name an empty directory, or one that does not exist yet")


def _refused(path: str, error: OSError) -> CannotCreate:
    if os.path.islink(path):
        return CannotCreate(f"{path} is a symlink", "name the directory itself")
    return CannotCreate(f"{path} cannot be a mount point: {error.strerror}", "name another directory")


def remove_if_made(path: str, made: bool) -> None:
    """Remove the unmounted directory if enc made it and it is still empty, and then an empty ~/enc/OWNER."""
    if made:
        with contextlib.suppress(OSError):
            os.rmdir(path)
            parent = os.path.dirname(path)
            if os.path.dirname(parent) == os.path.realpath(_home()):
                os.rmdir(parent)
