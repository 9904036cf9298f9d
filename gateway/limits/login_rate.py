"""How often a principal connects: at most so many new connections within a minute.

A small file a principal, a line a connection: when it was first seen, and its client's address and port. More channels
of a connection that is known are no login. sshd has limits of its own, but it does not know principals.
"""

from __future__ import annotations

import os
import time

from gateway.base import locks
from gateway.errors import Busy, Misconfigured

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.identity.authentication import Identity

_MINUTE = 60


def admit(run: str, caller: Identity, most: int) -> None:
    """Note the caller's connection. Raises Busy when it is one more than `most` (0: no limit) within a minute; such a
    connection stays refused, and does not count.
    """
    if not most:
        return
    try:
        os.makedirs(os.path.join(run, "logins"), 0o700, exist_ok=True)
        path = os.path.join(run, "logins", caller.principal.directory)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Misconfigured("the gateway cannot write its run directory", error.strerror) from error
    try:
        locks.wait_for(fd)
        _note(fd, f"{caller.address}:{caller.port}", most)
    finally:
        os.close(fd)


def _note(fd: int, connection: str, most: int) -> None:
    now = int(time.clock_gettime(time.CLOCK_BOOTTIME))
    rows = [line.split() for line in os.pread(fd, os.fstat(fd).st_size, 0).decode("ascii", "replace").splitlines()]
    seen = {row[1]: int(row[0]) for row in rows if len(row) == 2 and row[0].isdecimal()}
    recent = {name: when for name, when in seen.items() if 0 <= now - when < _MINUTE}
    if connection in recent:
        return
    if len(recent) >= most:
        wait = _MINUTE - (now - min(recent.values()))
        raise Busy(f"you connected {len(recent)} times within a minute, as often as you may", f"wait {wait} s")
    recent[connection] = now
    os.ftruncate(fd, 0)
    os.pwrite(fd, "".join(f"{when} {name}\n" for name, when in recent.items()).encode(), 0)
