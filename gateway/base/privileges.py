"""Root's rights, given up once: root's `enc-gateway` works as the gateway's account, whose directories it reads.

What the account can write, it could have laid out as a trap: a link that leads root elsewhere, a FIFO, a record with
somebody else's pid. Working as the account, none of these reaches further than the account itself. Real and effective
ids are changed, so that signals too go by them (kill(2)); root stays as the saved ids, and the few steps that need it
say so with `root`. What is started meanwhile cannot go back: execve(2) takes the saved ids away.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator


def invoker() -> int:
    """The uid that we were started with, whoever we work as now."""
    return os.getresuid()[2]


def owner(path: str) -> tuple[int, int]:
    """Uid and gid of the owner of `path`: the account that is worked as. Raises OSError."""
    found = os.stat(path)
    return found.st_uid, found.st_gid


def drop(uid: int, gid: int) -> None:
    """As root: work as `uid` and `gid` from here on. Others stay who they are."""
    if os.geteuid() == 0 and uid != 0:
        os.setgroups([gid])
        os.setresgid(gid, gid, 0)
        os.setresuid(uid, uid, 0)


@contextlib.contextmanager
def account(uid: int, gid: int) -> Iterator[None]:
    """As root: work as `uid` and `gid` for the block. Others stay who they are."""
    before = _ids()
    drop(uid, gid)
    try:
        yield
    finally:
        _become(before)


@contextlib.contextmanager
def root() -> Iterator[None]:
    """Be root again for the block, if we were started by root."""
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
    os.setresuid(0, 0, 0)  # by the saved ids; only root may set the others
    os.setresgid(gid, gid, 0)
    os.setgroups(groups)
    os.setresuid(uid, uid, 0)
