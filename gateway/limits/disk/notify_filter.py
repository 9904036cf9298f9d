"""Which system calls of gocryptfs are stopped for its meter: those that take new blocks, and the one for `df`.

The filter is seccomp's (seccomp_unotify(2)): what it stops waits until whoever has the listener's descriptor answers.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct

from gateway.base.records import Record
from gateway.errors import Misconfigured


class Calls(Record):
    """Numbers of system calls of an architecture, and AUDIT_ARCH_* as a filter sees it."""

    arch: int
    seccomp: int
    fallocate: int
    openat: int
    statfs: int
    making: tuple[int, ...]


MACHINES = {
    "x86_64": Calls(
        arch=0xC000003E,
        seccomp=317,
        fallocate=285,
        openat=257,
        statfs=137,
        making=(258, 259, 266, 265, 188, 189, 190),
    ),
    "aarch64": Calls(
        arch=0xC00000B7, seccomp=277, fallocate=47, openat=56, statfs=43, making=(34, 33, 36, 37, 5, 6, 7)
    ),
}
"""`making`: mkdirat, mknodat, symlinkat, linkat, setxattr, lsetxattr, fsetxattr."""

_LOAD, _EQUAL, _ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06  # BPF_LD|W|ABS, JMP|JEQ|K, JMP|JSET|K, RET|K
ALLOW, NOTIFY = 0x7FFF0000, 0x7FC00000
_AT_NUMBER, _AT_ARCH, _AT_FLAGS = 0, 4, 32  # in struct seccomp_data; the flags of openat(2) are its third argument
_SET_MODE_FILTER, _NEW_LISTENER, _WAIT_KILLABLE = 1, 8, 32
"""seccomp(2). With the last one, Go's own signals do not break off a call that is being answered."""


def calls() -> Calls:
    """Those of this machine. Raises Misconfigured where we do not know them."""
    if platform.machine() not in MACHINES:
        raise Misconfigured(f"disk quotas are not for {platform.machine()}", "a sysadmin can: limits.disk = 0")
    return MACHINES[platform.machine()]


def program(numbers: Calls) -> bytes:
    """The filter (BPF): stop at what takes new blocks, let everything else pass."""
    stopped = (numbers.fallocate, numbers.statfs, *numbers.making)
    count = len(stopped)
    rows = [(_LOAD, 0, 0, _AT_ARCH), (_EQUAL, 0, count + 4, numbers.arch), (_LOAD, 0, 0, _AT_NUMBER)]
    rows += [(_EQUAL, count - at + 3, 0, number) for at, number in enumerate(stopped)]
    rows += [(_EQUAL, 0, 2, numbers.openat), (_LOAD, 0, 0, _AT_FLAGS), (_ANY_BIT, 1, 0, os.O_CREAT)]
    rows += [(_RETURN, 0, 0, ALLOW), (_RETURN, 0, 0, NOTIFY)]
    return b"".join(struct.pack("HBBI", *row) for row in rows)


def listener(numbers: Calls) -> int:
    """Put the filter on this process and what it becomes; the descriptor by which it is answered."""

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("rows", ctypes.c_char_p))

    rows = program(numbers)
    loaded = Program(len(rows) // 8, rows)
    libc = ctypes.CDLL(None, use_errno=True)
    for flags in (_NEW_LISTENER | _WAIT_KILLABLE, _NEW_LISTENER):  # the former from Linux 5.19 on
        fd = int(libc.syscall(numbers.seccomp, _SET_MODE_FILTER, flags, ctypes.byref(loaded)))
        if fd >= 0:
            return fd
    raise OSError(ctypes.get_errno(), "seccomp")
