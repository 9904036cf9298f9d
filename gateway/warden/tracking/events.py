"""inotify's events, as the kernel writes them (inotify(7)), read in portions.

By our own few lines and not by pyinotify: its import would cost every session 2.6 MiB, it makes an object of every
event, which under a build costs more than the build's own I/O, and it would log names from inside a view.
"""

from __future__ import annotations

import fcntl
import os
import struct
import sys
import termios

from gateway.base.records import Record
from gateway.warden.tracking.tree import Change

TYPE_CHECKING = False
if TYPE_CHECKING:
    Entry = tuple[Change, int, bytes, int]

ACCESS, MODIFY, MOVED_FROM, MOVED_TO, CREATE, DELETE = 0x1, 0x2, 0x40, 0x80, 0x100, 0x200
OVERFLOW, IGNORED, ONLY_DIRECTORIES, DIRECTORY = 0x4000, 0x8000, 0x01000000, 0x40000000

FOLLOWED = ACCESS | MODIFY | MOVED_FROM | MOVED_TO | CREATE | DELETE | ONLY_DIRECTORIES
"""What the watch of a directory tells: file I/O, and what becomes of the directories in it."""

_WRITES = MODIFY | MOVED_FROM | MOVED_TO | CREATE | DELETE
_ONE_BY_ONE = DIRECTORY | IGNORED | OVERFLOW
_CHANGES = (
    (CREATE, Change.CREATED),
    (DELETE, Change.DELETED),
    (MOVED_FROM, Change.MOVED_FROM),
    (MOVED_TO, Change.MOVED_TO),
    (IGNORED, Change.ENDED),
)
_HEADER = struct.Struct("iIII")
_PORTION = 32 * 1024
"""Bytes: about a thousand events, a few milliseconds of work."""


class Portion(Record):
    """What some events tell: whether files were read and written, whether events were lost, and what became of
    directories, as arguments of `Tree.apply`.
    """

    read: bool
    written: bool
    lost: bool
    changes: list[Entry]


def parse(buffer: bytes) -> Portion:
    """Events in a row. That a directory is listed is none: to look is no I/O, and we list them ourselves."""
    position, size = 0, len(buffer)
    seen = 0
    changes: list[Entry] = []
    while position < size:
        watch, mask, cookie, length = _HEADER.unpack_from(buffer, position)
        position += _HEADER.size + length
        if not mask & _ONE_BY_ONE:
            seen |= mask
        elif mask & DIRECTORY and mask & ACCESS:
            continue
        else:
            seen |= mask & ~ACCESS
            name = buffer[position - length : position].rstrip(b"\0")
            changes += [(change, watch, name, cookie) for bit, change in _CHANGES if mask & bit]
    return Portion(read=bool(seen & ACCESS), written=bool(seen & _WRITES), lost=bool(seen & OVERFLOW), changes=changes)


class Queue:
    """The events of one inotify instance, whose descriptor it owns. `consumed` counts the bytes that were read."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.consumed = 0

    def waiting(self) -> int:
        """Bytes that are there to be read."""
        count = bytearray(4)
        fcntl.ioctl(self.fd, termios.FIONREAD, count)
        return int.from_bytes(count, sys.byteorder)

    def read(self) -> Portion | None:
        """The next portion; None when there is nothing to read."""
        if not self.waiting():
            return None
        buffer = os.read(self.fd, _PORTION)
        self.consumed += len(buffer)
        return parse(buffer)

    def close(self) -> None:
        """Its watches end. The kernel takes 10 to 60 ms for that (20,000 watches), whatever the file system does."""
        os.close(self.fd)
