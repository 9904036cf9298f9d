"""The scanner's process: it opens, watches and lists directories of a view, which the warden asks for.

A request to a file system that does not answer holds up whoever makes it, and no signal ends it. A process that waits
so goes with its pid namespace when pid 1 is killed; pid 1 itself, or a thread of it, would keep the namespace and with
it the view (measured, with a gocryptfs that was stopped: 24 of 25 times).
"""

from __future__ import annotations

import itertools
import os
import signal
import socket
from collections import deque

from gateway.base import syscalls
from gateway.base.clock import boottime
from gateway.warden.tracking import inotify, reports
from gateway.warden.tracking.reports import Kind, Report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_BURST, _STEPS, _LONGEST = 0.005, 16, 0.05
"""Work for each request: so many seconds, a tenth of one core, for the warden asks every 50 ms. On a busy machine that
is little work and much waiting, so it is at least so many steps, but no longer than that.
"""
_MOST_ENTRIES = 2000
_PORTION = 256


def become(channel: socket.socket, root: str, instance: int) -> None:
    """Be the scanner of the view at `root`, after fork(2). Does not return. Keeps none of the warden's descriptors but
    `channel` and the inotify `instance`.
    """
    try:
        os.setsid()  # signals of a terminal, such as those of Ctrl-Z, are for the session and not for us
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        _keep_only({channel.fileno(), instance})
        _serve(channel, root, instance)
    finally:
        os._exit(0)


def _keep_only(kept: set[int]) -> None:
    """Copies of a front's socket, of a lock or of sshd's pipes would keep others waiting for their end."""
    low = 0
    for fd in (*sorted(kept), os.sysconf("SC_OPEN_MAX")):
        os.closerange(low, fd)
        low = fd + 1
    for number in {0, 1, 2} - kept:
        os.dup2(os.open(os.devnull, os.O_RDWR), number)


def _serve(channel: socket.socket, root: str, instance: int) -> None:
    top = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    visits: deque[Iterator[Report | None]] = deque()
    while packet := channel.recv(reports.MOST_BYTES):
        visits += (_visit(top, instance, number, path) for number, path in reports.unpack_request(packet))
        _tell(channel, itertools.chain(_burst(visits), [Report(kind=Kind.RESTED)]))


def _tell(channel: socket.socket, told: Iterator[Report]) -> None:
    """In few packets: each wakes the warden, which wants the processor that gocryptfs needs to answer us."""
    packet = b""
    for report in told:
        packed = reports.pack(report)
        if len(packet) + len(packed) > reports.MOST_BYTES:
            channel.send(packet)
            packet = b""
        packet += packed
    channel.send(packet)


def _burst(visits: deque[Iterator[Report | None]]) -> Iterator[Report]:
    """Visits take turns, so that a directory with very many names holds up no other."""
    began = boottime()
    entries = steps = 0
    while visits and entries < _MOST_ENTRIES:
        spent = boottime() - began
        if spent > _LONGEST or (spent > _BURST and steps >= _STEPS):
            return
        steps += 1
        visit = visits.popleft()
        for report in visit:
            if report is None:
                visits.append(visit)
                break
            entries += len(report.entries)
            yield report


def _visit(top: int, instance: int, number: int, path: bytes) -> Iterator[Report | None]:
    """Watch one directory, then list it: in this order nothing falls in between. None: it is another one's turn."""
    fd = -1
    try:
        fd = syscalls.open_beneath(top, path or b".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        yield Report(kind=Kind.OPENED, visit=number, value=inotify.add(instance, fd))
        for entries, is_last in _listing(fd):
            if entries:
                yield Report(kind=Kind.FOUND, visit=number, entries=entries)
            if not is_last:
                yield None
        yield Report(kind=Kind.LISTED, visit=number)
    except inotify.Full:
        yield Report(kind=Kind.FULL, visit=number)
    except OSError as error:
        yield Report(kind=Kind.FAILED, visit=number, value=error.errno or 0)
    finally:
        if fd >= 0:
            os.close(fd)


def _listing(fd: int) -> Iterator[tuple[tuple[tuple[bytes, float], ...], bool]]:
    """The directories among the next so many names, and so on; whether these were the last names."""
    with os.scandir(fd) as names:
        while portion := list(itertools.islice(names, _PORTION)):
            directories = (entry for entry in portion if entry.is_dir(follow_symlinks=False))
            yield tuple((os.fsencode(entry.name), _modified(entry)) for entry in directories), len(portion) < _PORTION


def _modified(entry: os.DirEntry[str]) -> float:
    try:
        return entry.stat(follow_symlinks=False).st_mtime
    except OSError:  # removed since it was listed; the visit will tell
        return 0.0
