"""The ledger of a principal's disk quota: how much is used, in one small file that all the principal's sessions share.

A supervisor adds what it lets gocryptfs reserve, under a lock, so that two sessions cannot both take the last bytes of
a quota. Nothing is ever subtracted. Instead the disk is counted again from time to time, and the count replaces the
total. So an error, from a session that was killed or a reservation that failed, lasts until the next count.

The lock is a POSIX lock (fcntl(2)), which belongs to the process and not to the open file: all supervisors of a session
inherit the same open file. The threads of one supervisor have another lock between them.
"""

from __future__ import annotations

import os
import struct
import threading
import time
from contextlib import contextmanager

from gateway.base import locks
from gateway.base.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_LAYOUT = struct.Struct("qqdd")


class Totals(Record):
    """The content of a ledger.

    `used` is the number of bytes in use. `reserved` is the sum of all reservations ever: its growth shows what was
    reserved during a count. `counted_at` is when the last count ended (CLOCK_MONOTONIC, seconds; 0 for never), and
    `count_seconds` how long it took.
    """

    used: int = 0
    reserved: int = 0
    counted_at: float = 0.0
    count_seconds: float = 0.0


class Ledger:
    """The ledger in the file `fd` (gateway.limits.concurrency.open_file), which the caller closes."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._processes = locks.ProcessLock(fd)
        self._threads = threading.Lock()

    def totals(self) -> Totals:
        """Raises OSError."""
        with self._locked():
            return self._read()

    def reserve(self, size: int, limit: int) -> bool:
        """Add `size` bytes, unless that exceeds `limit`. Returns whether they were added. Raises OSError."""
        with self._locked():
            totals = self._read()
            fits = totals.used + size <= limit
            if fits:
                self._write(totals.replace(used=totals.used + size, reserved=totals.reserved + size))
            return fits

    def recount(self, count: Callable[[], tuple[int, bool]]) -> bool:
        """Count the disk again: `count` returns the bytes on disk, and whether that is all of them.

        What is reserved meanwhile is added, whether or not the count includes it. Returns whether the count was
        complete. Raises OSError.
        """
        reserved_before = self.totals().reserved
        began = time.monotonic()
        used, complete = count()
        with self._locked():
            totals = self._read()
            used += totals.reserved - reserved_before
            if not complete:  # an incomplete count must not free space
                used = max(used, totals.used)
            now = time.monotonic()
            self._write(totals.replace(used=used, counted_at=now, count_seconds=now - began))
        return complete

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with self._threads, self._processes:
            yield

    def _read(self) -> Totals:
        raw = os.pread(self._fd, _LAYOUT.size, 0)
        if len(raw) != _LAYOUT.size:
            return Totals()
        used, reserved, counted_at, count_seconds = _LAYOUT.unpack(raw)
        return Totals(used=used, reserved=reserved, counted_at=counted_at, count_seconds=count_seconds)

    def _write(self, totals: Totals) -> None:
        raw = _LAYOUT.pack(totals.used, totals.reserved, totals.counted_at, totals.count_seconds)
        os.pwrite(self._fd, raw, 0)
