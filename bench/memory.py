"""Memory of an idle session with one view, with 1, 20 and 100 sessions, and the time to lock all of them at once.

The memory is the PSS of bubblewrap, warden and gocryptfs: a shared page counts once, split among the processes that
share it. sshd's processes do not count, nor does the kernel's memory for namespaces and mounts. Needs root: no other
account may read a warden's memory map.
"""

from __future__ import annotations

import contextlib
import time

from bench import place
from bench.measure import Row, exit_times, may_run_as_root, pss
from tests.harness import PASSPHRASE, Gateway, Held, Person, eventually

SIZES = (1, 20, 100)
UNLIMITED = {f"limits.{name}": "0" for name in ("sessions", "views", "projects", "logins", "requests")}
SETTLE_SECONDS = 5.0
"""Without activity, before we measure."""


def run() -> list[Row]:
    """One principal with a project per session; each session has its own connection."""
    if not may_run_as_root("memory"):
        return []
    rows: list[Row] = []
    with place.gateway(**UNLIMITED) as gateway, contextlib.ExitStack() as stack:
        who = gateway.person("busy")
        clients: list[Held] = []
        for size in SIZES:
            while len(clients) < size:
                clients.append(session(who, f"p{len(clients)}"))
                stack.callback(clients[-1].end)
            rows.append(memory_of(gateway, size, "14 MiB" if size == max(SIZES) else "-"))
        rows += lock_all(gateway, clients, "-")
        eventually(lambda: not gateway.leftovers())
    return rows


def session(who: Person, project: str) -> Held:
    """Create a project and unlock it over its own connection."""
    who.new(project)
    held = who.hold("mount", project, stdin=PASSPHRASE + "\n")
    held.read_until("unlocked")
    return held


def memory_of(gateway: Gateway, size: int, budget: str) -> Row:
    """The memory of one idle session, with `size` of them."""
    time.sleep(SETTLE_SECONDS)
    parts = {"bwrap": 0.0, "warden": 0.0, "gocryptfs": 0.0}
    for pid, program in place.session_pids(gateway).items():
        parts[program] += pss(pid) / size
    detail = ", ".join(f"{program} {mib:.1f}" for program, mib in parts.items())
    return Row(f"PSS of an idle session, of {size}", detail, "-", f"{sum(parts.values()):.1f} MiB", budget)


def lock_all(gateway: Gateway, clients: list[Held], budget: str) -> list[Row]:
    """Kill all `clients` at once; the time until no view, and no session, is left."""

    def kill() -> None:
        for client in clients:
            client.kill()

    pids = place.session_pids(gateway)
    after = exit_times(pids, kill)
    views = max(seconds for pid, seconds in after.items() if pids[pid] == "gocryptfs")
    what = f"{len(clients)} clients killed at once"
    return [
        Row(f"{what}: no view left", "-", "-", f"{views:.2f} s", budget),
        Row(f"{what}: no session left", "-", "-", f"{max(after.values()):.2f} s", budget),
    ]
