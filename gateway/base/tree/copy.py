"""Copy a tree: content with its holes, hard links, extended attributes, modes, times to the nanosecond, any depth.

The attributes in the name space `user` are copied; the others belong to the host.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat

from gateway.base.tree.descent import Descent
from gateway.base.tree.walk import stop, walk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from gateway.base.tree.walk import Entries

    Known = Callable[[int, str, os.stat_result], bool]
    """Whether an entry (the inode of its directory, its name, its status) is what the earlier copy was made of."""

_CHUNK = 1 << 24
_SMALL = 1 << 16
"""Bytes of a file that is copied in one piece, if it has no hole."""
_USER = "user."


class Earlier:
    """An earlier copy, which is followed as far as it has the directories that `known` recognizes."""

    def __init__(self, copy: Descent, known: Known) -> None:
        self._copy, self._known = copy, known
        self._strayed = 0

    def down(self, directory: int, name: str, found: os.stat_result) -> None:
        if not self._strayed and self._known(directory, name, found):
            with contextlib.suppress(OSError):
                self._copy.down(name)
                return
        self._strayed += 1

    def up(self) -> None:
        if self._strayed:
            self._strayed -= 1
        else:
            self._copy.up()

    def link(self, directory: int, name: str, found: os.stat_result, target: int) -> bool:
        """Make `name` in the open directory `target` a link to the earlier copy of it. False if that is another."""
        if self._strayed or not self._known(directory, name, found):
            return False
        try:
            old = os.stat(name, dir_fd=self._copy.fd, follow_symlinks=False)
            if look(old) != look(found):
                return False
            os.link(name, name, src_dir_fd=self._copy.fd, dst_dir_fd=target, follow_symlinks=False)
        except OSError:  # it is not there, or has too many links
            return False
        return True


def look(found: os.stat_result) -> tuple[int, ...]:
    """What a file that was copied whole has in common with its source: its times are set last."""
    return found.st_mode, found.st_size, found.st_mtime_ns, found.st_uid, found.st_gid


class Copy:
    """One copy of the tree at `source` into the empty directory `target`.

    `links` is the path of an empty directory on the target's disk, for a link to each file that has several. All that
    is written is written inside `writing()`. With `owners`, which needs root, the copy has the owners of the source.
    """

    def __init__(
        self,
        source: Descent,
        target: Descent,
        links: str,
        earlier: Earlier | None = None,
        writing: Callable[[], AbstractContextManager[object]] = contextlib.nullcontext,
        owners: bool = False,
    ) -> None:
        self._source, self._target, self._links = source, target, links
        self._earlier, self._writing, self._owners = earlier, writing, owners
        self._entered: list[tuple[os.stat_result, dict[str, bytes]]] = []
        self._listed: list[Entries] = []
        self._linked: set[tuple[int, int]] = set()

    def run(self, only: tuple[str, ...] | None = None) -> None:
        """Copy the entries `only` of the top (None: all); FileNotFoundError if one is missing. Raises OSError, whose
        `filename` is the path from the top where it happened.
        """
        top = os.fstat(self._source.fd)
        name = ""
        try:
            for entries in walk(self._source, stop, self._leave):
                name = ""
                if self._source.depth:
                    self._enter(self._source.name)
                elif only is not None:
                    limit(entries, only)
                self._listed.append(entries)
                self._begin(entries)
                for name, found in entries.items():
                    if not stat.S_ISDIR(found.st_mode):
                        self._copy_entry(name, found)
            with self._writing():
                self._end()
                self._finish(self._target.fd, top, attributes(self._source.fd))
        except OSError as error:
            error.filename = self._source.path(name)
            raise

    def _enter(self, name: str) -> None:
        found = self._listed[-1][name]  # of before we gave ourselves rights to it
        if self._earlier:
            self._earlier.down(self._source.inode_above, name, found)
        self._entered.append((found, attributes(self._source.fd)))
        with self._writing():
            self._make_directory(name)
            self._target.down(name)

    def _begin(self, entries: Entries) -> None:
        """The target is in the directory that is to have these `entries`."""

    def _end(self) -> None:
        """All is copied, and the target is in the top."""

    def _make_directory(self, name: str) -> None:
        os.mkdir(name, 0o700, dir_fd=self._target.fd)

    def _leave(self, _name: str) -> None:
        self._listed.pop()
        if self._earlier:
            self._earlier.up()
        with self._writing():
            fd = os.dup(self._target.fd)
            try:
                self._target.up()  # before the mode, which may close the way up
                self._finish(fd, *self._entered.pop())
            finally:
                os.close(fd)

    def _copy_entry(self, name: str, found: os.stat_result) -> None:
        identity = found.st_dev, found.st_ino
        with self._writing():
            if identity in self._linked:
                os.link(self._link(found), name, dst_dir_fd=self._target.fd, follow_symlinks=False)
                return
            if stat.S_ISREG(found.st_mode) and self._link_earlier(name, found):
                self._note_links(name, found)
                return
        if stat.S_ISREG(found.st_mode):
            self._copy_file(name, found)
        else:
            with self._writing():
                self._make(name, found)
        with self._writing():
            self._note_links(name, found)

    def _link_earlier(self, name: str, found: os.stat_result) -> bool:
        earlier = self._earlier
        return earlier is not None and earlier.link(self._source.inode, name, found, self._target.fd)

    def _note_links(self, name: str, found: os.stat_result) -> None:
        if found.st_nlink > 1:
            os.link(name, self._link(found), src_dir_fd=self._target.fd, follow_symlinks=False)
            self._linked.add((found.st_dev, found.st_ino))

    def _link(self, found: os.stat_result) -> str:
        return os.path.join(self._links, f"{found.st_dev}-{found.st_ino}")

    def _copy_file(self, name: str, found: os.stat_result) -> None:
        extended: dict[str, bytes] = {}
        fd = self._source.open_file(name, lambda opened: extended.update(attributes(opened)))
        try:
            with self._writing():
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
                to = os.open(name, flags, 0o600, dir_fd=self._target.fd)
                try:
                    copy_content(fd, to)
                    self._finish(to, found, extended)
                finally:
                    os.close(to)
        finally:
            os.close(fd)

    def _make(self, name: str, found: os.stat_result) -> None:
        """A symbolic link, FIFO or socket."""
        at = self._target.fd
        if stat.S_ISLNK(found.st_mode):
            os.symlink(os.readlink(name, dir_fd=self._source.fd), name, dir_fd=at)
        elif stat.S_ISFIFO(found.st_mode) or stat.S_ISSOCK(found.st_mode):
            os.mknod(name, stat.S_IFMT(found.st_mode) | 0o600, dir_fd=at)
        else:
            raise OSError(errno.EINVAL, "it is a device")
        if self._owners:
            os.chown(name, found.st_uid, found.st_gid, dir_fd=at, follow_symlinks=False)
        if not stat.S_ISLNK(found.st_mode):
            os.chmod(name, stat.S_IMODE(found.st_mode), dir_fd=at)
        os.utime(name, ns=(found.st_atime_ns, found.st_mtime_ns), dir_fd=at, follow_symlinks=False)

    def _finish(self, fd: int, found: os.stat_result, extended: dict[str, bytes]) -> None:
        for name, value in extended.items():
            os.setxattr(fd, name, value)
        if self._owners:
            os.fchown(fd, found.st_uid, found.st_gid)
        os.fchmod(fd, stat.S_IMODE(found.st_mode))
        os.utime(fd, ns=(found.st_atime_ns, found.st_mtime_ns))


def limit(entries: Entries, only: tuple[str, ...]) -> None:
    """Leave the entries `only`. Raises FileNotFoundError if one is missing."""
    for name in [name for name in entries if name not in only]:
        del entries[name]
    if missing := [name for name in only if name not in entries]:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), missing[0])


def attributes(fd: int) -> dict[str, bytes]:
    """The extended attributes of an open file or directory; none where the file system has none."""
    try:
        return {name: os.getxattr(fd, name) for name in os.listxattr(fd) if name.startswith(_USER)}
    except OSError as error:
        if error.errno == errno.ENOTSUP:
            return {}
        raise


def copy_content(source: int, target: int) -> None:
    """Copy what is in the file `source` to the new file `target` (descriptors). Holes stay holes. Raises OSError."""
    found = os.fstat(source)
    size = found.st_size
    if size <= min(_SMALL, found.st_blocks * 512):
        content = os.pread(source, size, 0)
        if os.pwrite(target, content, 0) == size:
            return
    for begin, end in extents(source, size):
        os.lseek(target, begin, os.SEEK_SET)
        while begin < end:
            sent = os.sendfile(target, source, begin, min(end - begin, _CHUNK))
            if sent == 0:  # it became shorter meanwhile
                return
            begin += sent
    os.truncate(target, size)


def extents(fd: int, size: int) -> Iterator[tuple[int, int]]:
    """Begin and end of each part of the file `fd` that is no hole. Raises OSError."""
    at = 0
    while at < size:
        try:
            begin = os.lseek(fd, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # only a hole is left
                return
            raise
        at = os.lseek(fd, begin, os.SEEK_HOLE)
        yield begin, at
