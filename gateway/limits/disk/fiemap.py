"""Which parts of a file have blocks on disk already (FS_IOC_FIEMAP): reserving them again takes no space."""

from __future__ import annotations

import fcntl
import os
import struct

BLOCK = 4096
_FS_IOC_FIEMAP, _EXTENT_LAST = 0xC020660B, 1  # linux/fiemap.h
_REQUEST, _EXTENT = struct.Struct("QQIIII"), struct.Struct("Q8xQ16xI12x")  # struct fiemap, struct fiemap_extent
_EXTENTS_PER_CALL = 32


def unallocated(path: str, offset: int, length: int) -> int:
    """How many of `length` bytes at `offset` of the file `path` have no blocks yet; in bytes, as whole blocks.

    If the file may not be read, that is all of them: too many, which the next count corrects. If the file system does
    not report extents (tmpfs), the file is taken to have no holes. Raises OSError if the file is gone.
    """
    begin, end = offset // BLOCK * BLOCK, round_up(offset + length)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except PermissionError:
        return end - begin
    try:
        return end - begin - _allocated(fd, begin, end)
    except OSError:
        found = os.fstat(fd)
        return max(0, end - max(begin, min(found.st_blocks * 512, round_up(found.st_size))))
    finally:
        os.close(fd)


def round_up(size: int) -> int:
    """`size` in bytes, rounded up to whole blocks."""
    return -(-size // BLOCK) * BLOCK


def _allocated(fd: int, begin: int, end: int) -> int:
    """How many bytes from `begin` to `end` have blocks, written or reserved. Raises OSError."""
    total, at = 0, begin
    while at < end:
        buffer = bytearray(_REQUEST.size + _EXTENTS_PER_CALL * _EXTENT.size)
        _REQUEST.pack_into(buffer, 0, at, end - at, 0, 0, _EXTENTS_PER_CALL, 0)
        fcntl.ioctl(fd, _FS_IOC_FIEMAP, buffer)
        count = _REQUEST.unpack_from(buffer)[3]
        last = count < _EXTENTS_PER_CALL
        for number in range(count):
            start, length, flags = _EXTENT.unpack_from(buffer, _REQUEST.size + number * _EXTENT.size)
            total += max(0, min(start + length, end) - max(start, at))
            last = last or bool(flags & _EXTENT_LAST)
        if last:
            break
        at = start + length
    return total
