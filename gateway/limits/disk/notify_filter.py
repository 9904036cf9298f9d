"""The seccomp filter of the disk quota: which system calls of gocryptfs wait for the supervisor's answer.

These are the calls that take new blocks, and statfs(2), which `df` causes. A call that the filter stops waits in the
kernel until the process with the listener's descriptor answers it (seccomp_unotify(2)).
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct

from gateway.base.records import Record
from gateway.errors import Misconfigured


class SyscallNumbers(Record):
    """The system call numbers of an architecture, and its AUDIT_ARCH_* value in struct seccomp_data.

    `creating`: mkdirat, mknodat, symlinkat, linkat, setxattr, lsetxattr, fsetxattr.
    """

    arch: int
    seccomp: int
    fallocate: int
    openat: int
    statfs: int
    creating: tuple[int, ...]


MACHINES = {
    "x86_64": SyscallNumbers(
        arch=0xC000003E,
        seccomp=317,
        fallocate=285,
        openat=257,
        statfs=137,
        creating=(258, 259, 266, 265, 188, 189, 190),
    ),
    "aarch64": SyscallNumbers(
        arch=0xC00000B7, seccomp=277, fallocate=47, openat=56, statfs=43, creating=(34, 33, 36, 37, 5, 6, 7)
    ),
}

_LOAD, _EQUAL, _ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06  # BPF_LD|W|ABS, JMP|JEQ|K, JMP|JSET|K, RET|K
ALLOW, NOTIFY = 0x7FFF0000, 0x7FC00000
_AT_NUMBER, _AT_ARCH, _AT_FLAGS = 0, 4, 32  # offsets in struct seccomp_data; openat(2) has its flags in argument 3
_SET_MODE_FILTER, _NEW_LISTENER, _WAIT_KILLABLE = 1, 8, 32
"""Flags of seccomp(2). With the last, the signals that Go sends to its own threads do not interrupt a stopped call."""


def syscall_numbers() -> SyscallNumbers:
    """The numbers for this machine. Raises Misconfigured if it is of another architecture than those in MACHINES."""
    if platform.machine() not in MACHINES:
        raise Misconfigured(
            f"limits.disk is not supported on {platform.machine()}", "a sysadmin can: set limits.disk to 0"
        )
    return MACHINES[platform.machine()]


def program(numbers: SyscallNumbers) -> bytes:
    """The filter as BPF: notify for the calls that take new blocks and for statfs, allow all others."""
    notified = (numbers.fallocate, numbers.statfs, *numbers.creating)
    count = len(notified)
    rows = [(_LOAD, 0, 0, _AT_ARCH), (_EQUAL, 0, count + 4, numbers.arch), (_LOAD, 0, 0, _AT_NUMBER)]
    rows += [(_EQUAL, count - at + 3, 0, number) for at, number in enumerate(notified)]
    rows += [(_EQUAL, 0, 2, numbers.openat), (_LOAD, 0, 0, _AT_FLAGS), (_ANY_BIT, 1, 0, os.O_CREAT)]
    rows += [(_RETURN, 0, 0, ALLOW), (_RETURN, 0, 0, NOTIFY)]
    return b"".join(struct.pack("HBBI", *row) for row in rows)


def install(numbers: SyscallNumbers) -> int:
    """Install the filter on this process, which keeps it through execve(2). Returns the listener's descriptor.

    Raises OSError.
    """

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("rows", ctypes.c_char_p))

    rows = program(numbers)
    loaded = Program(len(rows) // 8, rows)
    libc = ctypes.CDLL(None, use_errno=True)
    for flags in (_NEW_LISTENER | _WAIT_KILLABLE, _NEW_LISTENER):  # WAIT_KILLABLE exists from Linux 5.19 on
        fd = int(libc.syscall(numbers.seccomp, _SET_MODE_FILTER, flags, ctypes.byref(loaded)))
        if fd >= 0:
            return fd
    raise OSError(ctypes.get_errno(), "seccomp")
