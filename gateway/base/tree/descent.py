"""A place in a directory tree, reached name by name. It holds few descriptors however deep it is.

Every step is openat(2) by one name without following a link, so no path is too long, and nothing that is renamed
meanwhile leads elsewhere. Beyond `OPEN` levels, directories above are closed and opened again by `..` on the way up.

What `chmod` closes is closed to its owner as well. Root passes. Anybody else gives themselves the rights to a directory
while they are in it, and puts its mode back when they leave.
"""

from __future__ import annotations

import errno
import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    Owner = tuple[int, Callable[[], AbstractContextManager[object]]]
    """A uid, and what gives us the rights of that account for a block."""

OPEN = 16
"""How many descriptors of directories one descent holds at most, besides that of the top."""
READ, CHANGE = 0o500, 0o700
"""Rights of the owner that are needed in each directory: to read it, or to change it as well."""

_NO_FILE = "it is no longer a file"
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class _Level:
    """One directory on the way. `closed` is its mode before we gave ourselves rights, or -1; `fd` is -1 when shut."""

    __slots__ = ("closed", "fd", "granted", "identity", "name")

    def __init__(self, name: str, fd: int, closed: int) -> None:
        found = os.fstat(fd)
        self.name, self.fd, self.closed = name, fd, closed
        self.granted = stat.S_IMODE(found.st_mode)
        self.identity = found.st_dev, found.st_ino

    def leave(self) -> None:
        """Put the mode back, unless somebody else has changed it meanwhile, and close the descriptor."""
        try:
            if self.closed >= 0 and stat.S_IMODE(os.fstat(self.fd).st_mode) == self.granted:
                os.fchmod(self.fd, self.closed)
        except OSError:  # the disk became read-only, or fails
            pass
        finally:
            os.close(self.fd)
            self.fd = -1


class Descent:
    """A descent from the directory `top`; `close` ends it. Root, who passes everywhere, names an `owner`: what
    belongs to somebody else is then opened with no more rights than the owner's.

    The constructor and the methods raise OSError: NotADirectoryError for a symbolic link or what else is no directory.
    """

    def __init__(self, top: str, need: int = READ, owner: Owner | None = None, dir_fd: int | None = None) -> None:
        self._need, self._owner = need, owner
        self._levels = [_Level(top, *self._open(top, dir_fd))]

    @property
    def fd(self) -> int:
        """The descriptor of the directory that we are in. It is ours, and changes with each step."""
        return self._levels[-1].fd

    @property
    def depth(self) -> int:
        """0 at the top."""
        return len(self._levels) - 1

    @property
    def name(self) -> str:
        return self._levels[-1].name

    @property
    def inode(self) -> int:
        return self._levels[-1].identity[1]

    @property
    def inode_above(self) -> int:
        return self._levels[-2].identity[1]

    def path(self, name: str = "") -> str:
        """The path of the directory that we are in, or of `name` in it, from the top; "." for the top. For messages."""
        parts = [level.name for level in self._levels[1:]]
        return "/".join([*parts, name] if name else parts) or "."

    def down(self, name: str) -> None:
        self._levels.append(_Level(name, *self._open(name, self.fd)))
        if len(self._levels) > OPEN + 1:  # never the top: from there a directory that moved can be found again
            shut = self._levels[-OPEN - 1]
            if shut is not self._levels[0] and shut.fd >= 0:
                os.close(shut.fd)
                shut.fd = -1

    def up(self) -> None:
        """To the directory above. Raises OSError (ESTALE) when the way there has been renamed; then only `close`."""
        level, above = self._levels[-1], self._levels[-2]
        if above.fd < 0:
            above.fd = self._above(level.fd, above)
        self._levels.pop().leave()

    def close(self) -> None:
        """Leave every directory, and put back their modes where they can still be found."""
        try:
            while self.depth:
                self.up()
        except OSError:
            pass
        finally:
            for level in self._levels:
                if level.fd >= 0:
                    level.leave()
            self._levels = self._levels[:1]

    def open_file(self, name: str, look: Callable[[int], object] = lambda _: None) -> int:
        """Open the regular file `name` in this directory for reading, also if its mode forbids that to its owner.

        The caller closes it. `look(fd)` is called while the mode is open: for what a descriptor alone does not allow.
        """
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        if self._owner is None:
            try:
                return _looked_at(os.open(name, flags, dir_fd=self.fd), look)
            except PermissionError:
                pass
        handle = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self.fd)
        try:
            return self._open_handle(handle, look)
        finally:
            os.close(handle)

    def _open_handle(self, handle: int, look: Callable[[int], object]) -> int:
        """Open the regular file that `handle` (O_PATH) is, with rights that it has only for that moment."""
        found = os.fstat(handle)
        path, mode = f"/proc/self/fd/{handle}", stat.S_IMODE(found.st_mode)
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, _NO_FILE)
        if os.geteuid() == 0 or mode & stat.S_IRUSR:
            return _looked_at(self._open_as_owner(path, flags, found), look)
        os.chmod(path, mode | stat.S_IRUSR)
        try:
            return _looked_at(os.open(path, flags), look)
        finally:
            os.chmod(path, mode)

    def _open(self, name: str, dir_fd: int | None) -> tuple[int, int]:
        """A descriptor of a directory, and the mode to put back, or -1."""
        if self._owner is None:
            try:
                fd = os.open(name, _DIRECTORY, dir_fd=dir_fd)
                if os.geteuid() == 0 or os.fstat(fd).st_mode & self._need == self._need:
                    return fd, -1
                os.close(fd)
            except PermissionError:
                pass
        handle = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=dir_fd)
        try:
            found = os.fstat(handle)
            path, mode = f"/proc/self/fd/{handle}", stat.S_IMODE(found.st_mode)
            closed = -1
            if os.geteuid() != 0 and mode & self._need != self._need:
                os.chmod(path, mode | stat.S_IRWXU)
                closed = mode
            return self._open_as_owner(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, found), closed
        finally:
            os.close(handle)

    def _open_as_owner(self, path: str, flags: int, found: os.stat_result) -> int:
        if self._owner is None or found.st_uid == self._owner[0]:
            return os.open(path, flags)
        with self._owner[1]():
            return os.open(path, flags)

    def _above(self, fd: int, wanted: _Level) -> int:
        """The directory above `fd`, which must still be `wanted`: else that is looked for from the top, by names."""
        found = os.open("..", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=fd)
        if _is(found, wanted):
            return found
        os.close(found)
        at = os.dup(self._levels[0].fd)
        for level in self._levels[1:-1]:
            try:
                below = os.open(level.name, _DIRECTORY, dir_fd=at)
            finally:
                os.close(at)
            at = below
        if _is(at, wanted):
            return at
        os.close(at)
        raise OSError(errno.ESTALE, "a directory was moved meanwhile")


def _looked_at(fd: int, look: Callable[[int], object]) -> int:
    """The descriptor, unless it is of no regular file or `look` raises: then it is closed."""
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, _NO_FILE)
        look(fd)
    except OSError:
        os.close(fd)
        raise
    return fd


def _is(fd: int, level: _Level) -> bool:
    found = os.fstat(fd)
    return (found.st_dev, found.st_ino) == level.identity
