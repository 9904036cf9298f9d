"""Compare two trees, file by file: names, contents, links, extended attributes, modes, and times to the nanosecond."""

from __future__ import annotations

import os
import stat

from gateway.base.tree.copy import attributes, extents
from gateway.base.tree.walk import stop, walk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.base.tree.descent import Descent
    from gateway.base.tree.walk import Entries

    Place = tuple[str, ...]
    """The names on the way from the top to an entry; () for the top itself."""

_CHUNK = 1 << 20


class Comparison:
    """Of the trees `one` and `other`. `told` is called with the number of bytes of each entry that was compared."""

    def __init__(self, one: Descent, other: Descent, told: Callable[[int], object]) -> None:
        self._one, self._other, self._told = one, other, told
        self._links: dict[int, int] = {}
        self._place: list[str] = []
        self.differing: list[Place] = []

    def run(self) -> list[Place]:
        """What differs. Raises OSError, whose `filename` is the path from the top where it happened."""
        name = ""
        try:
            if _status(self._one.fd) != _status(self._other.fd):
                self.differing.append(())
            for entries in walk(self._one, stop, self._leave):
                name = ""
                if self._one.depth > self._other.depth:
                    self._enter(self._one.name)
                there = self._entries()
                self.differing += [(*self._place, name) for name in there.keys() - entries.keys()]
                for name, found in list(entries.items()):
                    if name in there and self._is_same(name, found, there[name]):
                        self._told(found.st_size)
                    else:
                        self.differing.append((*self._place, name))
                        del entries[name]  # do not enter it
        except OSError as error:
            error.filename = self._one.path(name)
            raise
        return self.differing

    def _enter(self, name: str) -> None:
        self._other.down(name)
        self._place.append(name)
        if attributes(self._one.fd) != attributes(self._other.fd):
            self.differing.append(tuple(self._place))

    def _leave(self, _name: str) -> None:
        self._other.up()
        self._place.pop()

    def _entries(self) -> Entries:
        fd = self._other.fd
        return {name: os.stat(name, dir_fd=fd, follow_symlinks=False) for name in os.listdir(fd)}

    def _is_same(self, name: str, found: os.stat_result, there: os.stat_result) -> bool:
        if found.st_mode != there.st_mode or found.st_mtime_ns != there.st_mtime_ns:
            return False
        if stat.S_ISDIR(found.st_mode):
            return True
        if found.st_nlink != there.st_nlink or (found.st_nlink > 1 and not self._are_linked_alike(found, there)):
            return False
        if stat.S_ISLNK(found.st_mode):
            return os.readlink(name, dir_fd=self._one.fd) == os.readlink(name, dir_fd=self._other.fd)
        return not stat.S_ISREG(found.st_mode) or (found.st_size == there.st_size and self._are_files_alike(name))

    def _are_linked_alike(self, found: os.stat_result, there: os.stat_result) -> bool:
        """Whether names of one file are names of one; their numbers are the same, so they are of no other."""
        return self._links.setdefault(found.st_ino, there.st_ino) == there.st_ino

    def _are_files_alike(self, name: str) -> bool:
        one = self._one.open_file(name)
        try:
            other = self._other.open_file(name)
            try:
                return attributes(one) == attributes(other) and _has_same_content(one, other)
            finally:
                os.close(other)
        finally:
            os.close(one)


def _status(fd: int) -> tuple[object, ...]:
    found = os.fstat(fd)
    return found.st_mode, found.st_mtime_ns, attributes(fd)


def _has_same_content(one: int, other: int) -> bool:
    """Of two files of the same size. Holes that both have are not read."""
    size = os.fstat(one).st_size
    whole = [(0, size)] if size else []
    parts = whole
    if size > _CHUNK:
        parts = list(extents(one, size))
        if parts != list(extents(other, size)):
            parts = whole
    return all(_is_same_part(one, other, begin, end) for begin, end in parts)


def _is_same_part(one: int, other: int, begin: int, end: int) -> bool:
    while begin < end:
        content = os.pread(one, min(_CHUNK, end - begin), begin)
        if not content or content != os.pread(other, len(content), begin):
            return False
        begin += len(content)
    return True
