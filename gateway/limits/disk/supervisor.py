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
import errno
import fcntl
import os
import select
import socket
import struct
import sys
import threading
import time

if __name__ == "__main__":
    sys.path.insert(0, __file__.rsplit("/", 4)[0])

from gateway.limits.disk import fiemap, notify_filter, statfs, usage
from gateway.limits.disk.ledger import Ledger, Page

_RECEIVE, _SEND, _VALID, _CONTINUE = 0xC0502100, 0xC0182101, 0x40082102, 1
_NOTICE, _ANSWER = struct.Struct("QIIiIQ6Q"), struct.Struct("QqiI")
_WHILE_FULL, _AT_WORK = 0.5, 5.0
"""Seconds after which it is counted anew, unless counting takes so long that this would be most of the work."""


class Meter:
    """`limit` bytes for everything in `directory`, of which `ledger` (a descriptor) says what is taken.

    The first count is made beside everything else: gocryptfs asks for its disk before it serves, and must not wait.
    """

    def __init__(self, directory: str, limit: int, ledger: int) -> None:
        self._directory = directory
        self._limit = limit
        self._ledger = Ledger(ledger, lambda: usage.count(directory))
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
        return statfs.of_quota(self._directory, self._limit, self._ledger.page().used)


def grows(fallocate: int, notice: tuple[int, ...]) -> int:
    """Bytes on disk that the stopped call asks for. Raises OSError when its process is gone."""
    pid, number, descriptor, offset, length = notice[1], notice[3], notice[6], notice[8], notice[9]
    if number != fallocate:
        return fiemap.BLOCK
    return fiemap.missing(f"/proc/{pid}/fd/{descriptor}", offset, length)


def answer(listener: int, meter: Meter, numbers: notify_filter.Calls) -> None:
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


def _judge(listener: int, meter: Meter, numbers: notify_filter.Calls, notice: tuple[int, ...]) -> tuple[int, int]:
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


def main(directory: str, limit: int, ledger: int, argv: list[str]) -> None:
    """Does not return. The meter is nobody's child but the session's, and has no descriptor of gocryptfs's."""
    numbers = notify_filter.calls()
    ours, theirs = socket.socketpair()
    if os.fork() == 0:
        if os.fork() == 0:
            _serve(theirs.detach(), directory, limit, numbers)
        os._exit(0)
    os.wait()
    theirs.close()
    socket.send_fds(ours, [b"l"], [notify_filter.listener(numbers), ledger])
    statfs.let_write(int(ours.recv(16) or 0))
    ours.close()
    os.close(ledger)
    os.execv(argv[0], argv)  # noqa: S606 - no shell is the point


def _serve(link: int, directory: str, limit: int, numbers: notify_filter.Calls) -> None:
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
