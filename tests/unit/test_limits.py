"""Places: as many as allowed, each principal by itself, and free when whoever had them is gone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway.errors import Busy
from gateway.identity.names import Principal
from gateway.limits import concurrency

ONE, OTHER = Principal("one"), Principal("other")


def test_there_are_as_many_places_as_allowed(tmp_path: Path) -> None:
    held = [concurrency.acquire(str(tmp_path), ONE, concurrency.VIEWS, 3) for _ in range(3)]
    with pytest.raises(Busy, match="you have 3 unlocked projects, which is the limit"):
        concurrency.acquire(str(tmp_path), ONE, concurrency.VIEWS, 3)
    os.close(concurrency.acquire(str(tmp_path), OTHER, concurrency.VIEWS, 3))
    os.close(concurrency.acquire(str(tmp_path), ONE, concurrency.SESSIONS, 3))
    os.close(held[1])
    held[1] = concurrency.acquire(str(tmp_path), ONE, concurrency.VIEWS, 3)
    for fd in held:
        os.close(fd)


def test_without_a_limit_nothing_is_refused(tmp_path: Path) -> None:
    for fd in [concurrency.acquire(str(tmp_path), ONE, concurrency.PROGRAMS, 0) for _ in range(200)]:
        os.close(fd)


def test_a_place_is_held_until_its_last_copy_is_closed(tmp_path: Path) -> None:
    """As it is by a session: bubblewrap and the warden both have it."""
    fd = concurrency.acquire(str(tmp_path), ONE, concurrency.SESSIONS, 1)
    copy = os.dup(fd)
    os.close(fd)
    with pytest.raises(Busy):
        concurrency.acquire(str(tmp_path), ONE, concurrency.SESSIONS, 1)
    os.close(copy)
    os.close(concurrency.acquire(str(tmp_path), ONE, concurrency.SESSIONS, 1))


def test_a_place_ends_with_its_process_however_that_ends(tmp_path: Path) -> None:
    pid = os.fork()
    if pid == 0:
        concurrency.acquire(str(tmp_path), ONE, concurrency.SESSIONS, 1)
        os.kill(os.getpid(), 9)
    os.waitpid(pid, 0)
    os.close(concurrency.acquire(str(tmp_path), ONE, concurrency.SESSIONS, 1))
