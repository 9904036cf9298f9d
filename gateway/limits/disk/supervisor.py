"""The supervisor of the disk quota. Run as a file, this starts a supervisor for its system calls and becomes gocryptfs.

    supervisor.py DIRECTORY BYTES LEDGER PROGRAM ARG...

DIRECTORY has all vaults of the principal, LEDGER is a descriptor of the ledger. gateway/limits/disk/__init__.py
describes how the parts work together.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import math
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
from gateway.limits.disk.ledger import Ledger, Totals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_NOTIF_RECV, _NOTIF_SEND, _NOTIF_ID_VALID = 0xC0502100, 0xC0182101, 0x40082102  # SECCOMP_IOCTL_*
_CONTINUE = 1  # SECCOMP_USER_NOTIF_FLAG_CONTINUE
_NOTIFICATION = struct.Struct("QIIiIQ6Q")  # struct seccomp_notif: id, pid, flags, number, arch, ip, six arguments
_RESPONSE = struct.Struct("QqiI")  # struct seccomp_notif_resp: id, value, error, flags
_RECOUNT_FULL_SECONDS, _RECOUNT_SECONDS = 0.5, 5.0
"""Ages at which a count is repeated, when the quota seems used up and otherwise; but see `Quota._refresh`."""


class Quota:
    """A quota of `limit` bytes for everything in `directory`; `ledger` is the descriptor of the ledger.

    A thread makes the first count, because gocryptfs calls statfs(2) before it serves, and must not wait for it. Where
    there are more files than can be counted within the time that a write may wait, a thread counts all of them.
    """

    def __init__(self, directory: str, limit: int, ledger: int) -> None:
        self._directory = directory
        self._limit = limit
        self._ledger = Ledger(ledger)
        self._totals = Totals()
        self._full_count: threading.Thread | None = None
        self._first_count = self._start(self._recount)

    def _start(self, count: Callable[[], object]) -> threading.Thread:
        def run() -> None:
            with contextlib.suppress(OSError):  # the next call that needs the number counts again, and gets the error
                count()

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        return thread

    def _recount(self) -> None:
        """Count within the time limit; if that is not enough, have all counted without one, one such count at a time.
        Without the latter, a total that was too large would stay so however much is deleted.
        """
        complete = self._ledger.recount(lambda: usage.count(self._directory))
        if not complete and not (self._full_count and self._full_count.is_alive()):
            self._full_count = self._start(lambda: self._ledger.recount(lambda: usage.count(self._directory, math.inf)))

    def reserve(self, size: int) -> bool:
        """Reserve `size` bytes, unless that exceeds the quota. Returns whether they are reserved. Raises OSError."""
        self._first_count.join()
        self._refresh(_RECOUNT_SECONDS, 20)
        if self._ledger.reserve(size, self._limit):
            return True
        return self._refresh(_RECOUNT_FULL_SECONDS, 2) and self._ledger.reserve(size, self._limit)

    def _refresh(self, seconds: float, times: int) -> bool:
        """Count again, unless the last count of any supervisor is recent. Returns whether this counted.

        Recent means: no older than `seconds`, or than `times` the duration of that count, so that counting never takes
        most of the time.
        """
        if self._is_recent(seconds, times):
            return False
        self._totals = self._ledger.totals()
        if self._is_recent(seconds, times):
            return False
        self._recount()
        self._totals = self._ledger.totals()
        return True

    def _is_recent(self, seconds: float, times: int) -> bool:
        age = time.monotonic() - self._totals.counted_at
        return 0 <= age <= max(seconds, times * self._totals.count_seconds)

    def statfs_reply(self) -> bytes:
        """The reply to statfs(2); b"" until the first count has ended. Raises OSError."""
        if self._first_count.is_alive():
            return b""
        self._refresh(_RECOUNT_FULL_SECONDS, 20)
        return statfs.quota_reply(self._directory, self._limit, self._ledger.totals().used)


def requested_bytes(fallocate: int, notification: tuple[int, ...]) -> int:
    """Bytes of disk space that the stopped call needs. Raises OSError if its process is gone."""
    pid, number, descriptor = notification[1], notification[3], notification[6]
    offset, length = notification[8], notification[9]
    if number != fallocate:
        return fiemap.BLOCK
    return fiemap.unallocated(f"/proc/{pid}/fd/{descriptor}", offset, length)


def serve(listener: int, quota: Quota, numbers: notify_filter.SyscallNumbers) -> None:
    """Answer stopped calls until no process is left that has the filter."""
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    while True:
        if not any(events & select.POLLIN for _, events in poll.poll()):
            return
        try:
            notification = _NOTIFICATION.unpack(fcntl.ioctl(listener, _NOTIF_RECV, bytes(_NOTIFICATION.size)))
            error, flags = _decide(listener, quota, numbers, notification)
            fcntl.ioctl(listener, _NOTIF_SEND, _RESPONSE.pack(notification[0], 0, error, flags))
        except OSError:  # ENOENT: the call was interrupted, or its process killed; an interrupted call is repeated
            continue


def _decide(
    listener: int, quota: Quota, numbers: notify_filter.SyscallNumbers, notification: tuple[int, ...]
) -> tuple[int, int]:
    """Error and flags of the response. ENOSPC also where the quota cannot be checked: without a response the call would
    never return.
    """
    try:
        if notification[3] == numbers.statfs:
            return 0, 0 if _answer_statfs(listener, quota, notification) else _CONTINUE
        if quota.reserve(requested_bytes(numbers.fallocate, notification)):
            return 0, _CONTINUE
    except OSError:  # the process is gone, or the ledger cannot be written
        pass
    return -errno.ENOSPC, 0


def _answer_statfs(listener: int, quota: Quota, notification: tuple[int, ...]) -> bool:
    """Write the reply into the caller's memory. Returns False if that fails; then the disk's own reply is used."""
    try:
        reply = quota.statfs_reply()
        if not reply:
            return False
        memory = os.open(f"/proc/{notification[1]}/mem", os.O_WRONLY | os.O_CLOEXEC)
        try:
            # the call still waits, so the pid is still the caller's
            fcntl.ioctl(listener, _NOTIF_ID_VALID, struct.pack("Q", notification[0]))
            return os.pwrite(memory, reply, notification[7]) == len(reply)
        finally:
            os.close(memory)
    except OSError:
        return False


def main(directory: str, limit: int, ledger: int, argv: list[str]) -> None:
    """Start the supervisor and become `argv`. Does not return.

    The supervisor is forked twice, so it is a child of the session's PID 1, and keeps none of gocryptfs's descriptors.
    """
    numbers = notify_filter.syscall_numbers()
    ours, theirs = socket.socketpair()
    if os.fork() == 0:
        if os.fork() == 0:
            _supervise(theirs.detach(), directory, limit, numbers)
        os._exit(0)
    os.wait()
    theirs.close()
    socket.send_fds(ours, [b"l"], [notify_filter.install(numbers), ledger])
    statfs.allow_tracer(int(ours.recv(16) or 0))
    ours.close()
    os.close(ledger)
    os.execv(argv[0], argv)  # noqa: S606 - no shell is the point


def _supervise(connection: int, directory: str, limit: int, numbers: notify_filter.SyscallNumbers) -> None:
    """Receive the listener and the ledger through the socket `connection`, send our pid back, and serve."""
    try:
        kept = os.dup2(connection, 3)
        os.closerange(4, 1 << 16)
        null = os.open("/dev/null", os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        with socket.socket(fileno=kept) as other:
            _, fds, _, _ = socket.recv_fds(other, 1, 2)
            other.send(b"%d" % os.getpid())
        listener, ledger = fds
        serve(listener, Quota(directory, limit, ledger), numbers)
    finally:
        os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
