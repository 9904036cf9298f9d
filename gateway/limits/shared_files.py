"""Wait for the files of a principal's limits where several hosts share them.

CephFS answers who opens a file that a dead host has open when it has put that host out. The open(2) cannot be
interrupted meanwhile, not by a signal either, so a child tries first, and we can say what we wait for, and give up.
"""

from __future__ import annotations

import os
import signal

from gateway.base import files, process
from gateway.errors import Busy
from gateway.limits import backoff, concurrency

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.identity.names import Principal

SLOW_AFTER = 5.0
"""Seconds after which the caller is told."""
_GIVEN_UP_AFTER = 55.0
"""Seconds in all: more than a dead host keeps its files, less than a client waits."""
_WHAT = "the gateway's shared disk does not answer"


def wait(root: str, principal: Principal, note: Callable[[str], object]) -> bool:
    """Wait until the principal's files in `root` can be opened; whether that took long enough to tell, by `note`, once.
    Raises Busy when they cannot, Misconfigured.
    """
    pid, reader = process.fork(lambda _: _open(_paths(root, principal)))
    os.close(reader)
    status = None
    try:
        status = process.wait(pid, SLOW_AFTER)
        if status is not None:
            return False
        note(
            f"enc: {_WHAT}: waiting for at most {_GIVEN_UP_AFTER:.0f} s; if a host has died, it does after at most 45 s"
        )
        status = process.wait(pid, _GIVEN_UP_AFTER - SLOW_AFTER)
    finally:
        if status is None:  # a child that is not waited for keeps its pid
            os.kill(pid, signal.SIGKILL)
    if status is None:
        raise Busy(f"{_WHAT}: nothing of yours can begin now", "try again; if it lasts, tell your sysadmin")
    return True


def _paths(root: str, principal: Principal) -> tuple[str, ...]:
    places = (f"{principal.directory}.{kind}" for kind in (concurrency.SESSIONS, concurrency.VIEWS))
    return (
        os.path.join(root, backoff.ATTEMPTS, principal.directory),
        *(os.path.join(root, concurrency.PLACES, name) for name in places),
    )


def _open(paths: tuple[str, ...]) -> None:
    """As they will be opened. What is wrong with one is found then."""
    for path in paths:
        try:
            os.close(files.open_regular(path, os.O_RDWR))
        except OSError:
            continue
