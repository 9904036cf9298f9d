"""Limit how many sessions, views and programs a principal has at the same time.

This is a counting semaphore made of locks. Each principal has a small file per kind, and each byte of it stands for one
of the items allowed: who acquires one locks a byte (an open file description lock, fcntl(2)). The kernel releases the
lock with the last descriptor, however the process ended. So there is no counter that could be wrong, nothing to clean
up, and no race between checking and taking.
"""

from __future__ import annotations

import os

from gateway.base import files, locks
from gateway.base.records import Fd
from gateway.errors import Busy, of_storage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.identity.names import Principal

SESSIONS, VIEWS, PROGRAMS = "sessions", "views", "programs"
PLACES = "places"
"""The directory of their files."""
DISK = "disk"
"""The file of this kind is no semaphore; it is the quota's ledger (gateway.limits.disk.ledger)."""

_NOUNS = {SESSIONS: "live sessions", VIEWS: "unlocked projects", PROGRAMS: "running transfers and programs"}
_HOW_TO_FREE = {
    SESSIONS: "`logout --all` ends them",
    VIEWS: "`unmount PROJECT` locks one",
    PROGRAMS: "end one of them first",
}


def acquire(root: str, principal: Principal, kind: str, limit: int) -> Fd:
    """Acquire one of `limit` items (0: no limit). `root` is the directory that has the files, gateway.cluster.places
    says where; of programs it is this host's own. Returns a descriptor; it is released with the last copy of that.

    Raises Busy if the limit is reached, Misconfigured.
    """
    fd = open_file(root, principal, kind)
    if not limit or any(locks.hold(fd, number) for number in range(limit)):
        return fd
    os.close(fd)
    raise Busy(f"you have {limit} {_NOUNS[kind]}, which is the limit", _HOW_TO_FREE[kind])


def open_file(root: str, principal: Principal, kind: str) -> Fd:
    """Open a principal's file of that kind; creates it if it is missing. Raises Misconfigured."""
    return open_shared(root, PLACES, f"{principal.directory}.{kind}")


def open_shared(root: str, kind: str, name: str) -> Fd:
    """Open the file `name` for all processes of a principal; creates it, and the directory `kind` that it is in.

    Raises Misconfigured, also if something else than a regular file is there.
    """
    directory = os.path.join(root, kind)
    path = os.path.join(directory, name)
    try:
        try:
            return Fd(files.open_regular(path, os.O_RDWR))
        except FileNotFoundError:
            os.makedirs(directory, 0o700, exist_ok=True)
            return Fd(files.make_lock(path))
    except OSError as error:
        raise of_storage(error, "the gateway cannot write to its disk") from error
