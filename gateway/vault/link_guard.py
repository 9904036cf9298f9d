"""A system call filter that refuses hard links to gocryptfs, and so to everybody who uses its view.

gocryptfs before 2.3.2 answers FUSE's LINK with the size of the ciphertext. The kernel believes it for a second, and a
program that appends in that time leaves a gap of NUL bytes in the file for good. Every client is above gocryptfs; so it
is refused here, once: linkat(2) fails with EPERM, as on a file system without hard links, and programs say so or copy.
gocryptfs itself calls it for LINK alone. Links that exist already stay, and are read and written correctly.
"""

from __future__ import annotations

import errno
import platform
import struct

from gateway.base import syscalls
from gateway.errors import Misconfigured

_MACHINES = {"x86_64": (0xC000003E, (265, 86)), "aarch64": (0xC00000B7, (37,))}
"""AUDIT_ARCH_* of the machine, and its numbers of linkat and link."""
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06  # BPF_LD|W|ABS, BPF_JMP|JEQ|K, BPF_RET|K
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_AT_NUMBER, _AT_ARCH = 0, 4  # offsets in struct seccomp_data


def program(machine: str) -> bytes:
    """The filter as BPF. Raises Misconfigured if the calls of this machine are not known."""
    if machine not in _MACHINES:
        hint = "a sysadmin can: install gocryptfs 2.3.2 or newer"
        raise Misconfigured(f"hard links in a project cannot be refused on {machine}", hint)
    arch, refused = _MACHINES[machine]
    count = len(refused)
    rows = [(_LOAD, 0, 0, _AT_ARCH), (_EQUAL, 0, count + 1, arch), (_LOAD, 0, 0, _AT_NUMBER)]
    rows += [(_EQUAL, count - at, 0, number) for at, number in enumerate(refused)]
    rows += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _ERRNO | errno.EPERM)]
    return b"".join(struct.pack("HBBI", *row) for row in rows)


def install() -> None:
    """Refuse hard links to this process and to what it becomes. Raises Misconfigured, OSError."""
    syscalls.install_filter(program(platform.machine()))
