"""What `df` in a view says: how much the quota is, and is left. gocryptfs asks the disk (statfs(2)); this answers."""

from __future__ import annotations

import ctypes
import os
import struct

_BUFFER = 120
_NUMBERS = struct.Struct("5q")  # of struct statfs: f_type, f_bsize, f_blocks, f_bfree, f_bavail, and more
_PR_SET_PTRACER = 0x59616D61


def of_quota(directory: str, limit: int, used: int) -> bytes:
    """The struct statfs of the disk of `directory`, with a size of `limit` of which `used` are taken: in bytes. No more
    is free than on the disk. Raises OSError.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(_BUFFER)
    if libc.statfs(os.fsencode(directory), buffer):
        raise OSError(ctypes.get_errno(), "statfs")
    kind, block, _, _, available = _NUMBERS.unpack_from(buffer.raw)
    free = max(0, limit - used) // block
    return _NUMBERS.pack(kind, block, limit // block, free, min(free, available)) + buffer.raw[_NUMBERS.size :]


def let_write(pid: int) -> None:
    """Called by what becomes gocryptfs: its meter, `pid`, may write an answer into it, also where the kernel asks for
    such leave (Yama, ptrace_scope 1).
    """
    ctypes.CDLL(None).prctl(_PR_SET_PTRACER, ctypes.c_ulong(pid), 0, 0, 0)
