"""Limit how many connections a principal makes per minute.

Each principal has a small file with a line for each connection: when it was first seen, and the client's address and
port. Further channels of a known connection do not count. sshd has limits of its own, but does not know principals.
"""

from __future__ import annotations

import os

from gateway.base import locks
from gateway.base.clock import boottime
from gateway.errors import Busy, Misconfigured

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.identity.authentication import Identity

_WINDOW_SECONDS = 60


def admit(run: str, caller: Identity, limit: int) -> None:
    """Record the caller's connection. Raises Busy if there were `limit` (0: no limit) others within a minute.

    A connection that is refused does not count. Raises Misconfigured if the run directory is not writable.
    """
    if not limit:
        return
    try:
        os.makedirs(os.path.join(run, "logins"), 0o700, exist_ok=True)
        path = os.path.join(run, "logins", caller.principal.directory)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Misconfigured("the gateway cannot write its run directory", error.strerror) from error
    try:
        locks.acquire(fd)
        _record(fd, f"{caller.address}:{caller.port}", limit)
    finally:
        os.close(fd)


def _record(fd: int, connection: str, limit: int) -> None:
    now = int(boottime())
    rows = [line.split() for line in os.pread(fd, os.fstat(fd).st_size, 0).decode("ascii", "replace").splitlines()]
    seen = {row[1]: int(row[0]) for row in rows if len(row) == 2 and row[0].isdecimal()}
    recent = {name: when for name, when in seen.items() if 0 <= now - when < _WINDOW_SECONDS}
    if connection in recent:
        return
    if len(recent) >= limit:
        wait = _WINDOW_SECONDS - (now - min(recent.values()))
        raise Busy(f"you connected {len(recent)} times within a minute, which is the limit", f"wait {wait} s")
    recent[connection] = now
    os.ftruncate(fd, 0)
    os.pwrite(fd, "".join(f"{when} {name}\n" for name, when in recent.items()).encode(), 0)
