"""Make a tree as another one is, beginning with what an earlier attempt has left: see `gateway.base.tree.copy`.

A file counts as copied when its size, mode and time are the source's, for the time is set last. `compare` does not
believe that.
"""

from __future__ import annotations

import os
import stat

from gateway.base.tree.copy import Copy, look
from gateway.base.tree.walk import remove

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.base.tree.descent import Descent
    from gateway.base.tree.walk import Entries


class Mirror(Copy):
    """A copy of all of `source` over what `target` has. What the source does not have is removed there. `links` is the
    name of a directory that is made at the top of the target meanwhile.

    `told` is called with the number of bytes of each entry that is done.
    """

    def __init__(self, source: Descent, target: Descent, links: str, told: Callable[[int], object]) -> None:
        os.mkdir(links, 0o700, dir_fd=target.fd)
        self._links_directory = os.open(links, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=target.fd)
        super().__init__(source, target, f"/proc/self/fd/{self._links_directory}")
        self._links_name, self._told = links, told
        self._there: Entries = {}
        self._taken: set[int] = set()

    def run(self, only: tuple[str, ...] | None = None) -> None:
        """Raises OSError as `Copy.run`."""
        try:
            super().run(only)
        finally:
            os.close(self._links_directory)

    def _begin(self, entries: Entries) -> None:
        self._there = {}
        for name in os.listdir(self._target.fd):
            if name == self._links_name and not self._target.depth:
                continue
            found = os.stat(name, dir_fd=self._target.fd, follow_symlinks=False)
            if name in entries and stat.S_IFMT(found.st_mode) == stat.S_IFMT(entries[name].st_mode):
                self._there[name] = found
            else:
                self._remove(name, found)

    def _end(self) -> None:
        """Before the top gets its time."""
        self._remove(self._links_name, os.fstat(self._links_directory))

    def _make_directory(self, name: str) -> None:
        """One that an earlier attempt made gets all rights for its owner again, as a new one has."""
        try:
            super()._make_directory(name)
        except FileExistsError:
            os.chmod(name, 0o700, dir_fd=self._target.fd)

    def _copy_entry(self, name: str, found: os.stat_result) -> None:
        there = self._there.get(name)
        if there and self._is_copied(name, found, there):
            if found.st_nlink > 1 and (found.st_dev, found.st_ino) not in self._linked:
                self._note_links(name, found)
        else:
            if there:
                os.unlink(name, dir_fd=self._target.fd)
            super()._copy_entry(name, found)
        self._told(found.st_size)

    def _is_copied(self, name: str, found: os.stat_result, there: os.stat_result) -> bool:
        """Whether `there` is a copy of it already, with links to what it has to be linked to and to nothing else."""
        if look(found) != look(there) or (found.st_nlink > 1) != (there.st_nlink > 1):
            return False
        if stat.S_ISLNK(found.st_mode) and self._destination(name) != self._destination(name, copied=True):
            return False
        if found.st_nlink == 1:
            return True
        if (found.st_dev, found.st_ino) in self._linked:
            return os.stat(self._link(found), follow_symlinks=False).st_ino == there.st_ino
        return there.st_ino not in self._taken

    def _destination(self, name: str, copied: bool = False) -> str:
        return os.readlink(name, dir_fd=(self._target if copied else self._source).fd)

    def _note_links(self, name: str, found: os.stat_result) -> None:
        super()._note_links(name, found)
        if found.st_nlink > 1:
            self._taken.add(os.stat(name, dir_fd=self._target.fd, follow_symlinks=False).st_ino)

    def _remove(self, name: str, found: os.stat_result) -> None:
        if not stat.S_ISDIR(found.st_mode):
            os.unlink(name, dir_fd=self._target.fd)
        elif error := remove(f"/proc/self/fd/{self._target.fd}/{name}"):
            raise error
