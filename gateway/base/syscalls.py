"""System calls that the standard library has no function for. Each raises OSError."""

from __future__ import annotations

import ctypes
import os
import resource
import time

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND, MS_SHARED = 1, 2, 4, 8, 32, 4096, 1 << 20
MNT_FORCE, MNT_DETACH = 1, 2
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
_PR_SET_DUMPABLE, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 4, 47, 4
_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 22, 2

_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def mount(source: str | None, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    """mount(2)."""
    encoded = [None if text is None else os.fsencode(text) for text in (source, target, kind, data)]
    _checked(_libc.mount(encoded[0], encoded[1], encoded[2], ctypes.c_ulong(flags), encoded[3]))


def umount(target: str, flags: int = 0) -> None:
    """umount2(2)."""
    _checked(_libc.umount2(os.fsencode(target), flags))


_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


def exchange(one: str, other: str) -> None:
    """renameat2(2) with RENAME_EXCHANGE: each gets the other's name, in one step."""
    paths = os.fsencode(one), os.fsencode(other)
    _checked(_libc.renameat2(_AT_FDCWD, paths[0], _AT_FDCWD, paths[1], ctypes.c_uint(_RENAME_EXCHANGE)))


def syncfs(fd: int) -> None:
    """syncfs(2)."""
    _checked(_libc.syncfs(fd))


def setns(fd: int, kind: int) -> None:
    """setns(2): enter the namespace of the descriptor `fd`. (os.setns exists from Python 3.12 on.)"""
    _checked(_libc.setns(fd, kind))


def drop_inheritable_capabilities() -> None:
    """Clear the ambient capabilities (prctl(2)): this process keeps its capabilities, programs it starts get none."""
    _checked(_libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0))


def make_undumpable() -> None:
    """Forbid core dumps, and reading this process's memory by others of its uid. Call it before reading a secret."""
    _checked(_libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0))
    disable_core_dumps()


def disable_core_dumps() -> None:
    """Forbid core dumps of this process and of what it starts."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


class _FilterProgram(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("rows", ctypes.c_char_p))


def install_filter(program: bytes) -> None:
    """prctl(2) PR_SET_SECCOMP: a BPF program judges each system call of this process and of what it becomes. It needs
    PR_SET_NO_NEW_PRIVS, which a sandbox has, or CAP_SYS_ADMIN.
    """
    loaded = _FilterProgram(len(program) // 8, program)
    _checked(_libc.prctl(_PR_SET_SECCOMP, ctypes.c_ulong(_SECCOMP_MODE_FILTER), ctypes.byref(loaded), 0, 0))


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


_OPENAT2, _NO_XDEV, _NO_SYMLINKS, _BENEATH = 437, 0x01, 0x04, 0x08


def open_beneath(directory: int, path: bytes, flags: int) -> int:
    """openat2(2): open `path` below the descriptor `directory`, through no symbolic link and into no other mount."""
    how = _OpenHow(flags=flags, resolve=_NO_XDEV | _NO_SYMLINKS | _BENEATH)
    size = ctypes.c_size_t(ctypes.sizeof(how))
    fd: int = _libc.syscall(ctypes.c_long(_OPENAT2), directory, path, ctypes.byref(how), size)
    _checked(min(fd, 0))
    return fd


class _TimeSpec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _TimerSpec(ctypes.Structure):
    _fields_ = (("interval", _TimeSpec), ("value", _TimeSpec))


def timer() -> int:
    """A timerfd_create(2) on CLOCK_BOOTTIME. Unlike a poll(2) timeout, it runs while the host is suspended."""
    fd: int = _libc.timerfd_create(time.CLOCK_BOOTTIME, os.O_NONBLOCK | os.O_CLOEXEC)
    _checked(min(fd, 0))
    return fd


def set_timer(fd: int, at: float) -> None:
    """Make the timer `fd` readable at `at` (CLOCK_BOOTTIME, seconds); at once if that has passed."""
    nanoseconds = max(1, int(at * 1e9))
    spec = _TimerSpec(value=_TimeSpec(nanoseconds // 10**9, nanoseconds % 10**9))
    _checked(_libc.timerfd_settime(fd, 1, ctypes.byref(spec), None))  # 1: TFD_TIMER_ABSTIME
