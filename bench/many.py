"""A thousand live sessions with a view each: their memory, and the time to lock all of them at once."""

from __future__ import annotations

import contextlib
import resource
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench import memory, place
from bench.measure import Row, may_run_as_root
from tests.harness import eventually

SESSIONS = 1000
_INSTANCES = Path("/proc/sys/fs/inotify/max_user_instances")
_NEVER_IDLE = {"idle.session": "86400", "idle.view": "86400"}
_CONCURRENT_STARTS = 4


def run() -> list[Row]:
    """Ten principals with equally many projects; each session has its own connection."""
    if not may_run_as_root("many"):
        return []
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with (
        _inotify(),
        place.gateway(**memory.UNLIMITED, **_NEVER_IDLE) as gateway,
        contextlib.ExitStack() as stack,
        ThreadPoolExecutor(_CONCURRENT_STARTS) as pool,
    ):
        people = [gateway.person(f"busy{number}") for number in range(10)]
        began = time.perf_counter()
        clients = list(pool.map(lambda number: memory.session(people[number % 10], f"p{number}"), range(SESSIONS)))
        print(f"many: {SESSIONS} sessions are live after {time.perf_counter() - began:.0f} s", file=sys.stderr)
        for client in clients:
            stack.callback(client.end)
        rows = [memory.memory_of(gateway, SESSIONS, "-"), *memory.lock_all(gateway, clients, "10 s")]
        eventually(lambda: not gateway.leftovers())
    return rows


@contextlib.contextmanager
def _inotify() -> Iterator[None]:
    """Allow an inotify instance for each session, as `enc-gateway setup --sessions 1000` does."""
    before = _INSTANCES.read_text()
    _INSTANCES.write_text(str(max(int(before), SESSIONS + 28)))
    try:
        yield
    finally:
        _INSTANCES.write_text(before)
