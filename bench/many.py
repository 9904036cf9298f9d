"""A thousand live sessions with a view, and all of them locked at once."""

from __future__ import annotations

import contextlib
import os
import resource
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench import memory, place
from bench.measure import Row
from tests.harness import eventually

SESSIONS = 1000
_INSTANCES = Path("/proc/sys/fs/inotify/max_user_instances")
_NEVER_IDLE = {"idle.session": "86400", "idle.view": "86400"}
_AT_ONCE = 4


def run() -> list[Row]:
    """Ten principals, each with as many projects; each session has a connection of its own."""
    if os.geteuid() != 0:
        print("many: left out, it needs root", file=sys.stderr)
        return []
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with (
        _inotify(),
        place.gateway(**memory.UNLIMITED, **_NEVER_IDLE) as gateway,
        contextlib.ExitStack() as stack,
        ThreadPoolExecutor(_AT_ONCE) as pool,
    ):
        people = [gateway.person(f"busy{number}") for number in range(10)]
        began = time.perf_counter()
        clients = list(pool.map(lambda number: memory.session(people[number % 10], f"p{number}"), range(SESSIONS)))
        print(f"many: {SESSIONS} are there after {time.perf_counter() - began:.0f} s", file=sys.stderr)
        for client in clients:
            stack.callback(client.end)
        rows = [memory.memory_of(gateway, SESSIONS, "-"), *memory.lock_all(gateway, clients, "10 s")]
        eventually(lambda: not gateway.leftovers())
    return rows


@contextlib.contextmanager
def _inotify() -> Iterator[None]:
    """One instance for each session, as a host has that was set up for so many."""
    before = _INSTANCES.read_text()
    _INSTANCES.write_text(str(max(int(before), SESSIONS + 28)))
    try:
        yield
    finally:
        _INSTANCES.write_text(before)
