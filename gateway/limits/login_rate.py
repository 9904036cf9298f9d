"""Limit how many connections a principal makes per minute.

Each principal has a small file with a line for each connection: when it was first seen, and the client's address and
port. Further channels of a known connection do not count. sshd has limits of its own, but does not know principals.
"""

from __future__ import annotations

import os

from gateway.base import locks
from gateway.base.clock import boottime
from gateway.errors import Busy
from gateway.limits import concurrency

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.identity.authentication import Identity

_WINDOW_SECONDS = 60
_MAX_DIGITS = 19
_MAX_BYTES = 256 * 1024
"""Read of a principal's file: about 5,000 connections within the window."""


def admit(run: str, caller: Identity, limit: int) -> None:
    """Record the caller's connection. Raises Busy if there were `limit` (0: no limit) others within a minute.

    A connection that is refused does not count. Raises Misconfigured if the run directory is not writable.
    """
    if not limit:
        return
    fd = concurrency.open_shared(run, "logins", caller.principal.directory)
    try:
        locks.acquire(fd)
        _record(fd, f"{caller.address}:{caller.port}", limit)
    finally:
        os.close(fd)


def _record(fd: int, connection: str, limit: int) -> None:
    now = int(boottime())
    rows = [line.split() for line in os.pread(fd, _MAX_BYTES, 0).decode("ascii", "replace").splitlines()]
    seen = {row[1]: int(row[0]) for row in rows if len(row) == 2 and row[0].isdecimal() and len(row[0]) <= _MAX_DIGITS}
    recent = {name: when for name, when in seen.items() if 0 <= now - when < _WINDOW_SECONDS}
    if connection in recent:
        return
    if len(recent) >= limit:
        wait = _WINDOW_SECONDS - (now - min(recent.values()))
        raise Busy(f"you connected {len(recent)} times within a minute, which is the limit", f"wait {wait} s")
    recent[connection] = now
    os.ftruncate(fd, 0)
    os.pwrite(fd, "".join(f"{when} {name}\n" for name, when in recent.items()).encode(), 0)
