"""Drop root's privileges: `enc-gateway`, started by root, runs with the ids of the gateway's account.

The account can write to its directories, so it could set a trap for root there: a symbolic link to another file, a
FIFO, a record with another process's pid. With the account's ids, a trap reaches no further than the account itself.
The real and effective ids change, so kill(2) checks them too. Root stays in the saved ids; the few steps that need it
use `root`. A program started meanwhile cannot become root again: execve(2) replaces the saved ids.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator


def invoker() -> int:
    """The uid that started this process, whatever the effective uid is now."""
    return os.getresuid()[2]


def owner(path: str) -> tuple[int, int]:
    """The uid and gid that own `path`; for one of the gateway's directories, those of its account. Raises OSError."""
    found = os.stat(path)
    return found.st_uid, found.st_gid


def drop(uid: int, gid: int) -> None:
    """If we are root, take on `uid` and `gid` from here on. Otherwise do nothing."""
    if os.geteuid() == 0 and uid != 0:
        os.setgroups([gid])
        os.setresgid(gid, gid, 0)
        os.setresuid(uid, uid, 0)


@contextlib.contextmanager
def account(uid: int, gid: int) -> Iterator[None]:
    """If we are root, have `uid` and `gid` for the block. Otherwise do nothing."""
    before = _ids()
    drop(uid, gid)
    try:
        yield
    finally:
        _become(before)


@contextlib.contextmanager
def root() -> Iterator[None]:
    """Be root again for the block, if root started this process."""
    before = _ids()
    if invoker() == 0:
        _become((0, 0, before[2]))
    try:
        yield
    finally:
        _become(before)


def _ids() -> tuple[int, int, list[int]]:
    return os.geteuid(), os.getegid(), os.getgroups()


def _become(ids: tuple[int, int, list[int]]) -> None:
    if ids[:2] == (os.geteuid(), os.getegid()):
        return
    uid, gid, groups = ids
    os.setresuid(0, 0, 0)  # the saved uid allows this; the calls below need root
    os.setresgid(gid, gid, 0)
    os.setgroups(groups)
    os.setresuid(uid, uid, 0)
