"""File I/O in one view, seen from outside the programs that do it.

Every directory gets an inotify watch, in the background, newest first, in small steps; the kernel then tells of reads
and writes, those that the page cache answers included. Where watches are missing (too many directories, a limit of
the host, a queue that ran over, or the set is still growing) the I/O counters of the gocryptfs process tell work from
silence (proc(5), /proc/PID/io): so somebody who works is never locked out. Listing a directory is not I/O: the events
that our own listing causes carry IN_ISDIR and are passed over, and the counters are read around our own steps.
"""

from __future__ import annotations

import heapq
import os

from gateway.base.clock import boottime
from gateway.warden.loop import Loop
from gateway.warden.tracking import inotify

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.warden.tracking.inotify import Watcher

_STEP = 0.005
_REST = 0.045
"""Seconds of work and of rest while the watch set grows: a tenth of one core."""
_SAMPLE = 1.0
_QUIET = 128
"""Bytes that gocryptfs moves in a system call on average when it answers no more than stat and statfs: measured 68 to
103, with names of 20 characters. Reading a file of 2,000 bytes takes it to 340. Listing a large directory looks like
reading, and the first one after a change writes an access time into the store (relatime, mount(8)); where one of the
two has to be mistaken, it is the idle one that stays.
"""

MOST_WATCHES = 20_000
_MASK = inotify.IO | inotify.TREE


class Tracker:
    """Follows the view at `root`, served by process `pid`. Calls `seen("read" | "write")` on file I/O, often, and
    `incomplete(reason)` at most once. `source` None: the host has no inotify instance for us, which is known already.
    """

    def __init__(
        self,
        loop: Loop,
        source: Watcher | None,
        root: str,
        pid: int,
        seen: Callable[[str], None],
        incomplete: Callable[[str], None],
    ) -> None:
        self._loop = loop
        self._source = source
        self._root = root
        self._pid = pid
        self._seen = seen
        self._incomplete = incomplete
        self._paths: dict[int, str] = {}
        self._moved: dict[int, str] = {}
        self._pending: list[tuple[float, str]] = [(0.0, "")]
        self._growing = True
        self._whole = source is not None
        self._closed = False
        self._counted = self._counters()
        self._step()

    @property
    def watches(self) -> int:
        return len(self._paths)

    def close(self) -> None:
        """Stop; the watches themselves end with the mount."""
        self._closed = True
        if self._source:
            for number in list(self._paths):
                self._source.remove(number)

    def look(self) -> None:
        """Where the watch set is not whole: what the counters tell now."""
        if self._growing or not self._whole:
            self._compare()

    def overflowed(self) -> None:
        """Events were lost, perhaps of new directories."""
        self._give_up("overflow")

    def _give_up(self, reason: str) -> None:
        """From here on the watch set is not whole, and the counters count."""
        if self._whole:
            self._whole = False
            self._incomplete(reason)
            if not self._growing:
                self._loop.at(_SAMPLE, self._step)

    def _step(self) -> None:
        """Look at the counters, watch some directories, and come again."""
        if self._closed:
            return
        self._compare()
        if self._pending and self._source:
            until = boottime() + _STEP
            while self._pending and boottime() < until:
                self._visit(heapq.heappop(self._pending)[1])
            self._counted = self._counters()
        self._growing = bool(self._pending and self._source)
        if self._growing:
            self._loop.at(_REST, self._step)
        elif not self._whole:
            self._loop.at(_SAMPLE, self._step)

    def _visit(self, path: str) -> None:
        """Watch one directory, then queue what is in it. In this order nothing falls in between."""
        assert self._source is not None  # noqa: S101 - _step has looked
        try:
            fd = os.open(os.path.join(self._root, path), os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:  # gone since it was queued, or closed to us
            return
        try:
            if len(self._paths) >= MOST_WATCHES:
                raise inotify.Full
            number = self._source.add(fd, _MASK, self._event)
            if number not in self._paths:
                self._paths[number] = path
                self._queue_children(fd, path)
        except inotify.Full:
            self._pending.clear()
            self._give_up("watch-limit")
        except OSError:  # it went away under our hands
            return
        finally:
            os.close(fd)

    def _queue_children(self, fd: int, path: str) -> None:
        with os.scandir(fd) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    changed = entry.stat(follow_symlinks=False).st_mtime
                    heapq.heappush(self._pending, (-changed, os.path.join(path, entry.name)))

    def _event(self, number: int, mask: int, cookie: int, name: str) -> None:
        if mask & inotify.GONE:
            self._paths.pop(number, None)
            return
        if mask & inotify.DIRECTORY:
            if mask & inotify.ACCESS:
                return
            self._directory_changed(number, mask, cookie, name)
        self._seen("read" if mask & inotify.ACCESS else "write")

    def _directory_changed(self, number: int, mask: int, cookie: int, name: str) -> None:
        path = os.path.join(self._paths.get(number, ""), name)
        if mask & inotify.MOVED_FROM:
            self._moved[cookie] = path
        elif mask & inotify.MOVED_TO and cookie in self._moved:
            self._rename(self._moved.pop(cookie), path)
        elif mask & (inotify.CREATE | inotify.MOVED_TO):
            heapq.heappush(self._pending, (float("-inf"), path))
            if not self._growing:
                self._growing = True
                self._counted = self._counters()
                self._loop.at(0, self._step)

    def _rename(self, old: str, new: str) -> None:
        """The watches below a moved directory stay; only what we call them changes."""
        for number, path in self._paths.items():
            if path == old or path.startswith(old + "/"):
                self._paths[number] = new + path[len(old) :]

    def _compare(self) -> None:
        """Whether gocryptfs has moved data, and not only answered stat, since the counters were last read."""
        before, self._counted = self._counted, self._counters()
        moved, calls, dirtied = (now - then for now, then in zip(self._counted, before, strict=True))
        if dirtied or moved > _QUIET * calls:
            self._seen("read or write")

    def _counters(self) -> tuple[int, int, int]:
        """By gocryptfs so far: bytes read and written, the system calls for it, and bytes of pages made dirty, in which
        a single byte that is written shows (not so on a tmpfs).
        """
        try:
            with open(f"/proc/{self._pid}/io", encoding="ascii") as file:
                values = dict(line.rstrip("\n").split(": ") for line in file)
        except OSError:  # it has just ended
            return self._counted if hasattr(self, "_counted") else (0, 0, 0)
        rchar, wchar, syscr, syscw, _, write_bytes, _ = map(int, values.values())
        return rchar + wchar, syscr + syscw, write_bytes
