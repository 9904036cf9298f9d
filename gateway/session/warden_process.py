"""The process of a session's warden, found from outside. A pid in a record is only a claim: this checks it.

What tells a warden, and cannot be forged for a process of somebody else:

- it is PID 1 of a pid namespace directly below ours (NSpid in /proc/PID/status, proc(5));
- its mount namespace has the directory of this very session at `gateway.sandbox.paths.SESSION` (/proc/PID/mountinfo).

Whoever has the rights of the gateway's account can make a process of their own that looks like that, but no other
process: not one of root's, and not the warden of another session. A pidfd is opened first and checked last, so the
answers were about the process that it refers to.
"""

from __future__ import annotations

import contextlib
import os
import signal

from gateway.base import process
from gateway.sandbox import paths
from gateway.session import layout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.session.registry import Session

_MAX_BYTES = 1 << 20
"""Read of a file in /proc: a namespace can have 100,000 mounts. A session's own are the first of its namespace."""


def open_pidfd(run: str, session: Session) -> int | None:
    """A pidfd of the warden of `session`, which the caller closes; None if the process of that pid is not it."""
    try:
        pidfd = os.pidfd_open(session.pid)
    except (OSError, OverflowError):  # it has ended, or the number is no pid
        return None
    if _looks_like_the_warden(run, session) and not has_ended(pidfd, 0):
        return pidfd
    os.close(pidfd)
    return None


def is_running(run: str, session: Session) -> bool:
    """Whether the process that `session` names is its warden, and runs."""
    pidfd = open_pidfd(run, session)
    if pidfd is None:
        return False
    os.close(pidfd)
    return True


def send(run: str, session: Session, number: signal.Signals) -> int | None:
    """Send a signal to the warden. Returns its pidfd, which the caller closes; None if the warden is not found."""
    pidfd = open_pidfd(run, session)
    if pidfd is not None:
        with contextlib.suppress(ProcessLookupError):  # it has ended since
            signal.pidfd_send_signal(pidfd, number)
    return pidfd


def has_ended(pidfd: int, seconds: float) -> bool:
    """Whether the process has ended, at the latest after `seconds`. A warden is the last of its session to end."""
    return process.wait_readable(pidfd, seconds)


def is_exiting(pid: int) -> bool:
    """Whether `pid` is a process of ours that has released its memory but not ended yet.

    The kernel releases a warden's lock first; then it ends all processes of the session and waits for them.
    """
    try:
        ours = os.stat(f"/proc/{pid}").st_uid == os.geteuid()
        after_name = _read(pid, "stat").rpartition(")")[2].split()
        return ours and after_name[0] != "Z" and int(after_name[20]) == 0
    except (OSError, IndexError, ValueError):  # it has ended
        return False


def _looks_like_the_warden(run: str, session: Session) -> bool:
    try:
        return _is_first_of_a_namespace(session.pid) and _has_session_mounted(run, session)
    except OSError:
        return False


def _is_first_of_a_namespace(pid: int) -> bool:
    found = (line.split()[1:] for line in _read(pid, "status").splitlines() if line.startswith("NSpid:"))
    return any(len(pids) == 2 and pids[1] == "1" for pids in found)


def _has_session_mounted(run: str, session: Session) -> bool:
    """Compares the end of the path within its file system (the fourth field, proc(5)). The id is 48 random bits."""
    where = layout.path(run, session.principal, session.id)
    end = "/" + "/".join(where.split("/")[-2:])
    rows = (line.split() for line in _read(session.pid, "mountinfo").splitlines())
    return any(len(row) > 4 and row[4] == paths.SESSION and row[3].endswith(end) for row in rows)


def _read(pid: int, name: str) -> str:
    fd = os.open(f"/proc/{pid}/{name}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        chunks, left = [], _MAX_BYTES
        while left and (chunk := os.read(fd, min(left, 1 << 16))):
            chunks.append(chunk)
            left -= len(chunk)
        return b"".join(chunks).decode(errors="replace")
    finally:
        os.close(fd)
