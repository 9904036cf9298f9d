"""File I/O in a view as gocryptfs's own counters show it: for where no watch tells of it."""

from __future__ import annotations

_QUIET = 128
"""Bytes that gocryptfs moves in a system call on average when it answers no more than stat and statfs: measured 68 to
103, with names of 20 characters. Reading a file of 2,000 bytes takes it to 340. Listing a large directory looks like
reading, and the first one after a change writes an access time into the store (relatime, mount(8)); where one of the
two has to be mistaken, it is the idle one that stays.
"""


class Counters:
    """Of process `pid` (proc(5), /proc/PID/io)."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._counted = (0, 0, 0)
        self.reset()

    def reset(self) -> None:
        """What has been counted up to now is none of the users' doing."""
        self._counted = self._read()

    def moved(self) -> bool:
        """Whether data has been moved, and not only stat answered, since this was asked last, or since `reset`."""
        before, self._counted = self._counted, self._read()
        moved, calls, dirtied = (now - then for now, then in zip(self._counted, before, strict=True))
        return bool(dirtied) or moved > _QUIET * calls

    def _read(self) -> tuple[int, int, int]:
        """So far: bytes read and written, the system calls for it, and bytes of pages made dirty, in which a single
        byte that is written shows (not so on a tmpfs).
        """
        try:
            with open(f"/proc/{self._pid}/io", encoding="ascii") as file:
                values = dict(line.rstrip("\n").split(": ") for line in file)
        except OSError:  # it has just ended
            return self._counted
        rchar, wchar, syscr, syscw, _, write_bytes, _ = map(int, values.values())
        return rchar + wchar, syscr + syscw, write_bytes
