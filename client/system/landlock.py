"""Landlock (landlock(7)): confining a program that we start, and its children, to some files.

The kernel then refuses them every other file: to open, make, remove or rename it, or to run it. What Landlock does not
cover stays possible: to look at a path (stat), to change mode, times and attributes, and to connect to a unix socket.
"""

from __future__ import annotations

import contextlib
import os
import stat
import struct
from collections.abc import Callable, Iterable, Iterator

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG = 1
_PATH_BENEATH = 1
_NO_NEW_PRIVS = 38
"""Of prctl(2): it gains no rights by running a program, which the kernel asks for."""

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_MAKE_NODES = 1 << 6 | 1 << 9 | 1 << 10 | 1 << 11
"""Character devices, sockets, FIFOs, block devices."""
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | 1 << 14 | 1 << 15
"""The rights that a rule for a file, and not a directory, can give."""
_EVER_GIVEN = ~(_EXECUTE | _MAKE_NODES | 1 << 15)
_RIGHTS_OF_ABI = {2: 14, 3: 15, 5: 16}
"""From this version of the interface on, so many rights on files. The first one cannot rename between directories."""
_BIND_AND_CONNECT, _ABSTRACT_SOCKETS_AND_SIGNALS = 3, 3

_PROGRAMS = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/nix/store", "/gnu/store")
_SETTINGS = (
    *("/etc/ld.so.cache", "/etc/ld.so.preload", "/etc/passwd", "/etc/group", "/etc/nsswitch.conf", "/etc/localtime"),
    *("/etc/ssl/openssl.cnf", "/etc/pki/tls/openssl.cnf", "/etc/crypto-policies", "/run/systemd/userdb"),
    *("/var/lib/sss", "/dev/urandom", "/dev/random"),
)
"""What the C library and OpenSSL read before a program begins, and when it asks who we are."""


@contextlib.contextmanager
def confined(directory: str, writes: bool, programs: Iterable[str]) -> Iterator[Callable[[], None] | None]:
    """What confines a child, to be called in it before exec; None where the kernel or Python cannot.

    It may read what is below `directory`, with `writes` also write there, and run the installed programs and these
    `programs`, each of which has the same confinement.
    """
    abi = _abi()
    if abi < min(_RIGHTS_OF_ABI):
        yield None
        return
    rights = (1 << max(count for version, count in _RIGHTS_OF_ABI.items() if version <= abi)) - 1
    ruleset = _ruleset(abi, rights)
    try:
        for path in (*_PROGRAMS, *programs):
            _allow(ruleset, path, _EXECUTE | _READ_FILE | _READ_DIR)
        for path in _SETTINGS:
            _allow(ruleset, path, _READ_FILE | _READ_DIR)
        _allow(ruleset, os.devnull, _READ_FILE | _WRITE_FILE)
        _allow(ruleset, directory, rights & _EVER_GIVEN if writes else _READ_FILE | _READ_DIR)
        yield lambda: _restrict(ruleset)
    finally:
        os.close(ruleset)


def _syscall(*words: int | bytes | None) -> int:
    """Its result, or -1. Raises ImportError in a Python without ctypes."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    given = [ctypes.c_long(word) if isinstance(word, int) else word for word in words]
    return int(libc.syscall(*given))


def _abi() -> int:
    try:
        return _syscall(_CREATE_RULESET, None, 0, _VERSION_FLAG)
    except ImportError:
        return -1


def _ruleset(abi: int, rights: int) -> int:
    fields = [rights]
    fields += [_BIND_AND_CONNECT] if abi >= 4 else []
    fields += [_ABSTRACT_SOCKETS_AND_SIGNALS] if abi >= 6 else []
    attributes = struct.pack(f"={len(fields)}Q", *fields)
    fd = _syscall(_CREATE_RULESET, attributes, len(attributes), 0)
    if fd < 0:
        raise OSError("the kernel makes no Landlock ruleset")
    os.set_inheritable(fd, False)
    return fd


def _allow(ruleset: int, path: str, rights: int) -> None:
    """What is below `path`, if it is there."""
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(fd).st_mode):
            rights &= _OF_FILES
        if _syscall(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", rights, fd), 0) < 0:
            raise OSError(f"the kernel takes no Landlock rule for {path}")
    finally:
        os.close(fd)


def _restrict(ruleset: int) -> None:
    """In a child: from now on. Raises OSError: then nothing may be started."""
    import ctypes

    ctypes.CDLL(None).prctl(_NO_NEW_PRIVS, 1, 0, 0, 0)
    if _syscall(_RESTRICT_SELF, ruleset, 0) != 0:
        raise OSError("the kernel does not confine this process")
