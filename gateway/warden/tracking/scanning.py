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

_BURST = 0.005
"""Seconds of work for each request: a tenth of one core, for the warden asks every 50 ms."""
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
        for report in _burst(visits):
            channel.send(reports.pack(report))
        channel.send(reports.pack(Report(kind=Kind.RESTED)))


def _burst(visits: deque[Iterator[Report | None]]) -> Iterator[Report]:
    """Visits take turns, so that a directory with very many names holds up no other."""
    until = boottime() + _BURST
    entries = 0
    while visits and boottime() < until and entries < _MOST_ENTRIES:
        visit = visits.popleft()
        for report in visit:
            if report is not None:
                entries += len(report.entries)
                yield report
            if report is None or report.kind is Kind.FOUND:
                visits.append(visit)
                break


def _visit(top: int, instance: int, number: int, path: bytes) -> Iterator[Report | None]:
    """Watch one directory, then list it: in this order nothing falls in between. None: names without a directory."""
    fd = -1
    try:
        fd = syscalls.open_beneath(top, path or b".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        yield Report(kind=Kind.OPENED, visit=number, value=inotify.add(instance, fd))
        for entries in _listing(fd):
            yield Report(kind=Kind.FOUND, visit=number, entries=entries) if entries else None
        yield Report(kind=Kind.LISTED, visit=number)
    except inotify.Full:
        yield Report(kind=Kind.FULL, visit=number)
    except OSError as error:
        yield Report(kind=Kind.FAILED, visit=number, value=error.errno or 0)
    finally:
        if fd >= 0:
            os.close(fd)


def _listing(fd: int) -> Iterator[tuple[tuple[bytes, float], ...]]:
    """The directories among the next so many names, and so on."""
    with os.scandir(fd) as names:
        while portion := list(itertools.islice(names, _PORTION)):
            directories = (entry for entry in portion if entry.is_dir(follow_symlinks=False))
            yield tuple((os.fsencode(entry.name), _modified(entry)) for entry in directories)


def _modified(entry: os.DirEntry[str]) -> float:
    try:
        return entry.stat(follow_symlinks=False).st_mtime
    except OSError:  # removed since it was listed; the visit will tell
        return 0.0
