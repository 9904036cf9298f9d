"""Processes by a name that no other will ever have: a pid, and when it started. And starting those of our own.

A pid alone may be another process by now. Whoever acts on one takes a pidfd first and then compares the start, so
that a signal can only reach the process that was meant.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
from typing import NamedTuple

from client.system import linux as platform

_CODE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
"""Where this package is: a directory, or the zipapp."""

_START = "import sys; sys.path.append(sys.argv[1]); from client.background import main; main.main(sys.argv[2:])"


class Process(NamedTuple):
    pid: int
    start: int


def of(pid: int) -> Process:
    """Process `pid` as it is now. Raises ProcessLookupError."""
    return Process(pid, platform.started(pid))


def alive(process: Process | None) -> bool:
    try:
        return process is not None and platform.started(process.pid) == process.start
    except ProcessLookupError:
        return False


def handle(process: Process | None) -> int | None:
    """A pidfd, readable when the process has ended; None when it has already. The caller closes it."""
    if process is None or not alive(process):
        return None
    try:
        fd = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return None
    if alive(process):  # asked after the handle was taken, so it is that process's
        return fd
    os.close(fd)
    return None


def end(process: Process | None, grace: float = 0.0) -> None:
    """See that it ends: by itself within `grace` seconds, upon SIGTERM within as many, upon SIGKILL within 1 s."""
    fd = handle(process)
    if fd is None:
        return
    try:
        if grace and not _ended(fd, grace):
            _send(fd, signal.SIGTERM)
        if not grace or not _ended(fd, grace):
            _send(fd, signal.SIGKILL)
            _ended(fd, 1.0)
    finally:
        os.close(fd)


def tell(process: Process | None) -> None:
    """SIGTERM, and nothing more."""
    fd = handle(process)
    if fd is not None:
        _send(fd, signal.SIGTERM)
        os.close(fd)


def wait(process: Process | None, seconds: float) -> bool:
    """Whether it has ended within `seconds`."""
    fd = handle(process)
    if fd is None:
        return True
    try:
        return _ended(fd, seconds)
    finally:
        os.close(fd)


def _send(fd: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(fd, number)


def _ended(fd: int, seconds: float) -> bool:
    waiting = select.poll()
    waiting.register(fd, select.POLLIN)
    return bool(waiting.poll(seconds * 1000))


def attempt(argv: list[str], seconds: float) -> bool:
    """Run `argv`, silently, and whether it succeeded within `seconds`. One that hangs in the kernel is left behind."""
    try:
        child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    except OSError:
        return False
    try:
        return child.wait(seconds) == 0
    except subprocess.TimeoutExpired:
        child.kill()
        return False


def start_background(*words: str, keeping: int) -> Process:
    """Start `client.background` with these words: a session of its own, no descriptor of ours but the one that it is to
    keep, working directory /.

    It needs the standard library alone, so it runs isolated from site-packages (-I -S), which makes it small.
    """
    argv = [sys.executable, "-I", "-S", "-c", _START, _CODE, *words]
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # for good, and before its first instruction
    try:
        child = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[keeping],
            cwd="/",
            start_new_session=True,
        )
    finally:
        signal.signal(signal.SIGHUP, before)
    child.returncode = 0  # nobody here waits for it: Popen would complain when it is forgotten
    return of(child.pid)
