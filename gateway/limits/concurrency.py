"""How many of a thing a principal has at once: numbered places, each held by a lock for as long as it is taken.

One small file a principal and kind, and of it one byte a place (open file description locks, fcntl(2)). Whoever holds
a place has it open; when the last process with that descriptor is gone, however it ended, the place is free. So there
is nothing to count, nothing to clear away, and no moment between a look and a taking.
"""

from __future__ import annotations

import os

from gateway.base import locks
from gateway.base.records import Fd
from gateway.errors import Busy, Misconfigured

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.identity.names import Principal

SESSIONS, VIEWS, PROGRAMS = "sessions", "views", "programs"
DISK = "disk"
"""A file of that kind has no places: it is a ledger (gateway.limits.disk.ledger)."""
_END = {
    SESSIONS: "`logout --all` ends them",
    VIEWS: "`unmount PROJECT` locks one",
    PROGRAMS: "end one of them first",
}
_WORDS = {SESSIONS: "live sessions", VIEWS: "unlocked projects", PROGRAMS: "running transfers and programs"}


def take(run: str, principal: Principal, kind: str, most: int) -> Fd:
    """A descriptor that holds one of the `most` places (0: as many as one likes) until its last copy is closed.

    Raises Busy when all are taken.
    """
    fd = file(run, principal, kind)
    if not most or any(locks.hold(fd, number) for number in range(most)):
        return fd
    os.close(fd)
    raise Busy(f"you have {most} {_WORDS[kind]}, as many as you may", _END[kind])


def file(run: str, principal: Principal, kind: str) -> Fd:
    """A descriptor of a principal's file of that kind, made if it is missing. Raises Misconfigured."""
    directory = os.path.join(run, "places")
    try:
        os.makedirs(directory, 0o700, exist_ok=True)
        path = os.path.join(directory, f"{principal.directory}.{kind}")
        return Fd(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise Misconfigured("the gateway cannot write its run directory", error.strerror) from error
