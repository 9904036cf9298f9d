"""The reply to statfs(2), by which `df` in a view shows the quota instead of the disk."""

from __future__ import annotations

import ctypes
import os
import struct

_BUFFER = 120
_HEAD = struct.Struct("5q")  # the start of struct statfs: f_type, f_bsize, f_blocks, f_bfree, f_bavail
_PR_SET_PTRACER = 0x59616D61


def quota_reply(directory: str, limit: int, used: int) -> bytes:
    """A struct statfs like that of `directory`, with `limit` bytes as its size, of which `used` are in use.

    It reports no more free space than the disk has. Raises OSError.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(_BUFFER)
    if libc.statfs(os.fsencode(directory), buffer):
        raise OSError(ctypes.get_errno(), "statfs")
    kind, block, _, _, available = _HEAD.unpack_from(buffer.raw)
    free = max(0, limit - used) // block
    return _HEAD.pack(kind, block, limit // block, free, min(free, available)) + buffer.raw[_HEAD.size :]


def allow_tracer(pid: int) -> None:
    """Let the process `pid`, the supervisor, write a reply into the memory of this process, which becomes gocryptfs.

    It is needed where the Yama security module restricts ptrace to a process's descendants (ptrace_scope 1).
    """
    ctypes.CDLL(None).prctl(_PR_SET_PTRACER, ctypes.c_ulong(pid), 0, 0, 0)
