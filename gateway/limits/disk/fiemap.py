"""Which part of a file has blocks on the disk already: what reserving it again does not take."""

from __future__ import annotations

import fcntl
import os
import struct

BLOCK = 4096
_FIEMAP, _LAST = 0xC020660B, 1  # FS_IOC_FIEMAP, FIEMAP_EXTENT_LAST (linux/fiemap.h)
_ASKED, _EXTENT = struct.Struct("QQIIII"), struct.Struct("Q8xQ16xI12x")
_AT_ONCE = 32


def missing(path: str, offset: int, length: int) -> int:
    """Bytes on disk, in whole blocks, that `length` bytes at `offset` of the file at `path` have yet to be given.

    All of them when the file may not be read: more than are taken, which the next count sets right. Where the file
    system does not tell (tmpfs), none where a file without holes would have them. Raises OSError when the file is gone.
    """
    begin, end = offset // BLOCK * BLOCK, blocks(offset + length)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except PermissionError:
        return end - begin
    try:
        return end - begin - _mapped(fd, begin, end)
    except OSError:
        found = os.fstat(fd)
        return max(0, end - max(begin, min(found.st_blocks * 512, blocks(found.st_size))))
    finally:
        os.close(fd)


def blocks(size: int) -> int:
    """`size` bytes as whole blocks, in bytes."""
    return -(-size // BLOCK) * BLOCK


def _mapped(fd: int, begin: int, end: int) -> int:
    """How much from `begin` to `end` has blocks, written or reserved. Raises OSError."""
    total, at = 0, begin
    while at < end:
        buffer = bytearray(_ASKED.size + _AT_ONCE * _EXTENT.size)
        _ASKED.pack_into(buffer, 0, at, end - at, 0, 0, _AT_ONCE, 0)
        fcntl.ioctl(fd, _FIEMAP, buffer)
        count = _ASKED.unpack_from(buffer)[3]
        last = count < _AT_ONCE
        for number in range(count):
            start, length, flags = _EXTENT.unpack_from(buffer, _ASKED.size + number * _EXTENT.size)
            total += max(0, min(start + length, end) - max(start, at))
            last = last or bool(flags & _LAST)
        if last:
            break
        at = start + length
    return total
