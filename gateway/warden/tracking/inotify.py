"""The only module that knows pyinotify: one inotify instance a session, events handed to whoever asked for them.

Events are read by our own few lines and not by pyinotify's Notifier: it makes an object of every event, which under a
build costs more than the build's own I/O, and it would log names from inside a view.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import sys
import termios

import pyinotify

from gateway.warden.loop import READ, Loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Owner = Callable[[int, int, int, str], None]

IO = pyinotify.IN_ACCESS | pyinotify.IN_MODIFY
TREE = pyinotify.IN_CREATE | pyinotify.IN_DELETE | pyinotify.IN_MOVED_FROM | pyinotify.IN_MOVED_TO
CREATE, DELETE = pyinotify.IN_CREATE, pyinotify.IN_DELETE
MOVED_FROM, MOVED_TO = pyinotify.IN_MOVED_FROM, pyinotify.IN_MOVED_TO
ACCESS, MODIFY = pyinotify.IN_ACCESS, pyinotify.IN_MODIFY
DIRECTORY, GONE, OVERFLOW = pyinotify.IN_ISDIR, pyinotify.IN_IGNORED, pyinotify.IN_Q_OVERFLOW
_ONLY_DIRECTORIES = pyinotify.IN_ONLYDIR
_SAY_EACH = DIRECTORY | GONE | OVERFLOW

_HEADER = struct.Struct("iIII")
_BREATH = 0.25
"""Seconds between two readings of a busy queue: what matters is that something happened, not how often."""


class Full(Exception):
    """No more watches are to be had (fs.inotify.max_user_watches)."""


class Watcher:
    """Raises OSError when the host has no instance left for us (fs.inotify.max_user_instances)."""

    def __init__(self, loop: Loop, overflowed: Callable[[], None]) -> None:
        pyinotify.log.disabled = True
        self._loop = loop
        self._overflowed = overflowed
        self._manager = pyinotify.WatchManager()
        self._fd: int = self._manager.get_fd()
        self._owners: dict[int, Owner] = {}
        os.set_inheritable(self._fd, False)
        self._listen()

    def add(self, directory: int, mask: int, owner: Owner) -> int:
        """Watch the directory that the descriptor `directory` is open on; the watch's number.

        By descriptor, so no name from a view is kept here. `owner` is called with (number, mask, cookie, name).
        Raises Full, and OSError when it cannot be watched for another reason.
        """
        try:
            path = f"/proc/self/fd/{directory}"
            (number,) = self._manager.add_watch(path, mask | _ONLY_DIRECTORIES, quiet=False).values()
        except pyinotify.WatchManagerError as error:
            code = self._manager._inotify_wrapper.get_errno()
            if code == errno.ENOSPC:
                raise Full from error
            raise OSError(code or errno.EIO, "cannot be watched") from error
        self._owners[number] = owner
        return int(number)

    def remove(self, number: int) -> None:
        """Stop watching; a watch that ended by itself is no error."""
        if self._owners.pop(number, None):
            self._manager.rm_watch(number, quiet=True)

    def _listen(self) -> None:
        self._loop.watch(self._fd, READ, lambda _: self._read())

    def _read(self) -> None:
        self._loop.unwatch(self._fd)
        self._loop.at(_BREATH, self._listen)
        self.look()

    def look(self) -> None:
        """Hand over the events that are waiting."""
        waiting = bytearray(4)
        fcntl.ioctl(self._fd, termios.FIONREAD, waiting)
        size = int.from_bytes(waiting, sys.byteorder)
        buffer = os.read(self._fd, size) if size else b""
        position = 0
        told = set()
        while position < len(buffer):
            number, mask, cookie, length = _HEADER.unpack_from(buffer, position)
            position += _HEADER.size + length
            if not mask & _SAY_EACH:  # of a build's thousands of reads and writes, one of each says all there is to say
                kind = number, mask & ACCESS
                if kind in told:
                    continue
                told.add(kind)
            if mask & OVERFLOW:
                self._overflowed()
            elif owner := self._owners.get(number):
                name = buffer[position - length : position].rstrip(b"\0") if mask & DIRECTORY else b""
                owner(number, mask, cookie, os.fsdecode(name))
                if mask & GONE:
                    self._forget(number)

    def _forget(self, number: int) -> None:
        self._owners.pop(number, None)
        self._manager.watches.pop(number, None)
