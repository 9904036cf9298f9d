"""What of a principal's disk quota is taken: one small file in the run directory, which all sessions share.

Each meter adds to it what it lets gocryptfs reserve, under a lock, so that two sessions cannot both take the last of a
quota. Nobody has to give anything back: what is on the disk is counted again from time to time, and the count takes the
place of the sum. So a session that was killed in between, or a reservation that failed, is wrong until the next count,
and no longer.

The lock is of the process (POSIX, fcntl(2)) and not of the descriptor, which a session's meters inherit from one open.
"""

from __future__ import annotations

import os
import struct
import time

from gateway.base import locks
from gateway.base.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_LAYOUT = struct.Struct("qqdd")


class Page(Record):
    """`used`: bytes that are taken. `reserved`: all that was ever added, by which a count tells what was added while it
    ran. `counted` (CLOCK_MONOTONIC, seconds; 0 for never): when it last ended, and how long it `took`.
    """

    used: int = 0
    reserved: int = 0
    counted: float = 0.0
    took: float = 0.0


class Ledger:
    """The one behind `fd` (places.file), which stays its opener's. `count` tells the bytes on disk, and whether those
    are all.
    """

    def __init__(self, fd: int, count: Callable[[], tuple[int, bool]]) -> None:
        self._fd = fd
        self._lock = locks.OfProcess(fd)
        self._count = count

    def page(self) -> Page:
        with self._lock:
            return self._read()

    def take(self, more: int, most: int) -> bool:
        """Whether `more` bytes, which are taken then, are not beyond `most`."""
        with self._lock:
            page = self._read()
            fits = page.used + more <= most
            if fits:
                self._write(page.replace(used=page.used + more, reserved=page.reserved + more))
            return fits

    def recount(self) -> None:
        """Count anew. What is added meanwhile is kept, whether the count saw it or not."""
        before = self.page().reserved
        began = time.monotonic()
        used, whole = self._count()
        with self._lock:
            page = self._read()
            used += page.reserved - before
            if not whole:  # more files than can be counted in time are no room
                used = max(used, page.used)
            now = time.monotonic()
            self._write(page.replace(used=used, counted=now, took=now - began))

    def _read(self) -> Page:
        raw = os.pread(self._fd, _LAYOUT.size, 0)
        if len(raw) != _LAYOUT.size:
            return Page()
        used, reserved, counted, took = _LAYOUT.unpack(raw)
        return Page(used=used, reserved=reserved, counted=counted, took=took)

    def _write(self, page: Page) -> None:
        os.pwrite(self._fd, _LAYOUT.pack(page.used, page.reserved, page.counted, page.took), 0)
