"""Processes, named by pid and start time: together they are never used again.

A pid alone may belong to another process by now. To act on a process, this module first opens a pidfd and then compares
the start time, so that a signal only reaches the intended process.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
from typing import NamedTuple

from client.system import linux


class Process(NamedTuple):
    """`start` is in clock ticks since boot."""

    pid: int
    start: int


def of(pid: int) -> Process:
    """Process `pid` as it is now. Raises ProcessLookupError."""
    return Process(pid, linux.start_time(pid))


def find(pid: int) -> Process | None:
    """Process `pid` as it is now; None when it has ended."""
    try:
        return of(pid)
    except ProcessLookupError:
        return None


def is_alive(process: Process | None) -> bool:
    try:
        return process is not None and linux.start_time(process.pid) == process.start
    except ProcessLookupError:
        return False


def is_at_work(process: Process | None) -> bool:
    """Whether it is alive, and its end has not begun."""
    try:
        return is_alive(process) and process is not None and not linux.is_exiting(process.pid)
    except ProcessLookupError:
        return False


def open_pidfd(process: Process | None) -> int | None:
    """A pidfd, readable when the process has ended; None when it has already ended. The caller closes it."""
    if process is None or not is_alive(process):
        return None
    try:
        fd = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return None
    if is_alive(process):  # compared after the pidfd was opened, so the pidfd is that process's
        return fd
    os.close(fd)
    return None


def end(process: Process | None, grace: float = 0.0) -> None:
    """Wait `grace` seconds for the end of the process, send SIGTERM, wait as long again, send SIGKILL, wait 1 s.

    Without `grace`, start with SIGKILL.
    """
    fd = open_pidfd(process)
    if fd is None:
        return
    try:
        if grace and not _has_ended(fd, grace):
            _send(fd, signal.SIGTERM)
        if not grace or not _has_ended(fd, grace):
            _send(fd, signal.SIGKILL)
            _has_ended(fd, 1.0)
    finally:
        os.close(fd)


def send_sigterm(process: Process | None) -> None:
    """Send SIGTERM and do not wait."""
    fd = open_pidfd(process)
    if fd is not None:
        _send(fd, signal.SIGTERM)
        os.close(fd)


def _send(fd: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(fd, number)


def _has_ended(fd: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def run_quietly(argv: list[str], seconds: float) -> bool:
    """Run `argv` without input and output; whether it succeeded within `seconds`.

    One that takes longer is killed but not waited for: it may hang in the kernel.
    """
    try:
        child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    except OSError:
        return False
    try:
        return child.wait(seconds) == 0
    except subprocess.TimeoutExpired:
        child.kill()
        return False
