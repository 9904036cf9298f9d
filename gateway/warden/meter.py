"""A quota for what gocryptfs writes: run as a file, this puts a meter at its system calls and becomes it.

    meter.py DIRECTORY BYTES LEDGER PROGRAM ARG...

Before it writes, gocryptfs reserves the blocks (fallocate(2)), so that a full disk is noticed while nothing is lost. A
filter stops it at that call, and at those that make files, and a second process of ours answers: go on, or ENOSPC, as
if the disk were full (seccomp_unotify(2)). Reading and writing itself pass untouched, and without a quota there is
none of this. If the meter dies, reserving fails, and with it every write that would need new blocks.

What DIRECTORY takes is counted at the start and kept in the ledger behind the descriptor LEDGER, which all sessions of
the principal share. What is reserved is added there, and it is counted anew when the quota seems to be used up or some
time has passed: nothing tells what is deleted.

It also answers gocryptfs's statfs(2), so that `df` in a view tells of the quota and not of the disk.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import platform
import select
import socket
import struct
import sys
import threading
import time

if __name__ == "__main__":
    sys.path.insert(0, __file__.rsplit("/", 3)[0])

from gateway import quota
from gateway.errors import Misconfigured
from gateway.ledger import Ledger, Page
from gateway.record import Record
from gateway.warden import extents, room


class Calls(Record):
    """Numbers of system calls of an architecture, and AUDIT_ARCH_* as a filter sees it."""

    arch: int
    seccomp: int
    fallocate: int
    openat: int
    statfs: int
    making: tuple[int, ...]


_MACHINES = {
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
_ALLOW, _NOTIFY = 0x7FFF0000, 0x7FC00000
_AT_NUMBER, _AT_ARCH, _AT_FLAGS = 0, 4, 32  # in struct seccomp_data; the flags of openat(2) are its third argument
_RECEIVE, _SEND, _VALID, _CONTINUE = 0xC0502100, 0xC0182101, 0x40082102, 1
_NOTICE, _ANSWER = struct.Struct("QIIiIQ6Q"), struct.Struct("QqiI")
_SET_MODE_FILTER, _NEW_LISTENER, _WAIT_KILLABLE = 1, 8, 32
"""seccomp(2). With the last one, Go's own signals do not break off a call that is being answered."""
_WHILE_FULL, _AT_WORK = 0.5, 5.0
"""Seconds after which it is counted anew, unless counting takes so long that this would be most of the work."""


def calls() -> Calls:
    """Those of this machine. Raises Misconfigured where we do not know them."""
    if platform.machine() not in _MACHINES:
        raise Misconfigured(f"disk quotas are not for {platform.machine()}", "a sysadmin can: limits.disk = 0")
    return _MACHINES[platform.machine()]


def program(numbers: Calls) -> bytes:
    """The filter (BPF): stop at what takes new blocks, let everything else pass."""
    stopped = (numbers.fallocate, numbers.statfs, *numbers.making)
    count = len(stopped)
    rows = [(_LOAD, 0, 0, _AT_ARCH), (_EQUAL, 0, count + 4, numbers.arch), (_LOAD, 0, 0, _AT_NUMBER)]
    rows += [(_EQUAL, count - at + 3, 0, number) for at, number in enumerate(stopped)]
    rows += [(_EQUAL, 0, 2, numbers.openat), (_LOAD, 0, 0, _AT_FLAGS), (_ANY_BIT, 1, 0, os.O_CREAT)]
    rows += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _NOTIFY)]
    return b"".join(struct.pack("HBBI", *row) for row in rows)


class Meter:
    """`limit` bytes for everything in `directory`, of which `ledger` (a descriptor) says what is taken.

    The first count is made beside everything else: gocryptfs asks for its disk before it serves, and must not wait.
    """

    def __init__(self, directory: str, limit: int, ledger: int) -> None:
        self._directory = directory
        self._limit = limit
        self._ledger = Ledger(ledger, lambda: quota.count(directory))
        self._page = Page()
        self._first = threading.Thread(target=self._count_first, daemon=True)
        self._first.start()

    def _count_first(self) -> None:
        with contextlib.suppress(OSError):  # whoever needs the number counts again, and is told
            self._ledger.recount()

    def takes(self, more: int) -> bool:
        """Whether there is room for `more` bytes, which are taken then."""
        self._first.join()
        self._refresh(_AT_WORK, 20)
        if self._ledger.take(more, self._limit):
            return True
        return self._refresh(_WHILE_FULL, 2) and self._ledger.take(more, self._limit)

    def _refresh(self, seconds: float, times: int) -> bool:
        """Count anew, unless the last count, whoever made it, is no older than this or so many times what it took."""
        if self._is_fresh(seconds, times):
            return False
        self._page = self._ledger.page()
        if self._is_fresh(seconds, times):
            return False
        self._ledger.recount()
        self._page = self._ledger.page()
        return True

    def _is_fresh(self, seconds: float, times: int) -> bool:
        return 0 <= time.monotonic() - self._page.counted <= max(seconds, times * self._page.took)

    def room(self) -> bytes:
        """What is answered to statfs(2), b"" before it is known. Raises OSError."""
        if self._first.is_alive():
            return b""
        self._refresh(_WHILE_FULL, 20)
        return room.of_quota(self._directory, self._limit, self._ledger.page().used)


def grows(fallocate: int, notice: tuple[int, ...]) -> int:
    """Bytes on disk that the stopped call asks for. Raises OSError when its process is gone."""
    pid, number, descriptor, offset, length = notice[1], notice[3], notice[6], notice[8], notice[9]
    if number != fallocate:
        return extents.BLOCK
    return extents.missing(f"/proc/{pid}/fd/{descriptor}", offset, length)


def answer(listener: int, meter: Meter, numbers: Calls) -> None:
    """Until nobody is left who could be stopped."""
    waiting = select.poll()
    waiting.register(listener, select.POLLIN)
    while True:
        if not any(events & select.POLLIN for _, events in waiting.poll()):
            return
        try:
            notice = _NOTICE.unpack(fcntl.ioctl(listener, _RECEIVE, bytes(_NOTICE.size)))
            fcntl.ioctl(listener, _SEND, _ANSWER.pack(notice[0], 0, *_judge(listener, meter, numbers, notice)))
        except OSError:  # ENOENT: the call was interrupted, or its process killed; whoever is left asks again
            continue


def _judge(listener: int, meter: Meter, numbers: Calls, notice: tuple[int, ...]) -> tuple[int, int]:
    """The error and the flags of the answer. Where we cannot tell whether there is room, there is none: without an
    answer the call would never end.
    """
    try:
        if notice[3] == numbers.statfs:
            return 0, 0 if _tell_room(listener, meter, notice) else _CONTINUE
        if meter.takes(grows(numbers.fallocate, notice)):
            return 0, _CONTINUE
    except OSError:  # its process is gone, or the ledger cannot be written
        pass
    return -errno.ENOSPC, 0


def _tell_room(listener: int, meter: Meter, notice: tuple[int, ...]) -> bool:
    """Write the answer to a statfs(2) to where it is wanted. Where that may not be, the disk's own has to do."""
    try:
        told = meter.room()
        if not told:
            return False
        memory = os.open(f"/proc/{notice[1]}/mem", os.O_WRONLY | os.O_CLOEXEC)
        try:
            fcntl.ioctl(listener, _VALID, struct.pack("Q", notice[0]))  # that pid is still who asked
            return os.pwrite(memory, told, notice[7]) == len(told)
        finally:
            os.close(memory)
    except OSError:
        return False


def _listener(numbers: Calls) -> int:
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


def main(directory: str, limit: int, ledger: int, argv: list[str]) -> None:
    """Does not return. The meter is nobody's child but the session's, and has no descriptor of gocryptfs's."""
    numbers = calls()
    ours, theirs = socket.socketpair()
    if os.fork() == 0:
        if os.fork() == 0:
            _serve(theirs.detach(), directory, limit, numbers)
        os._exit(0)
    os.wait()
    theirs.close()
    socket.send_fds(ours, [b"l"], [_listener(numbers), ledger])
    room.let_write(int(ours.recv(16) or 0))
    ours.close()
    os.close(ledger)
    os.execv(argv[0], argv)  # noqa: S606 - no shell is the point


def _serve(link: int, directory: str, limit: int, numbers: Calls) -> None:
    try:
        kept = os.dup2(link, 3)
        os.closerange(4, 1 << 16)
        nothing = os.open("/dev/null", os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(nothing, fd)
        with socket.socket(fileno=kept) as other:
            _, fds, _, _ = socket.recv_fds(other, 1, 2)
            other.send(b"%d" % os.getpid())
        listener, ledger = fds
        answer(listener, Meter(directory, limit, ledger), numbers)
    finally:
        os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
