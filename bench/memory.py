"""Memory of an idle session with one view, at 1, 20 and 100 of them, and the time to lock all of those at once.

PSS (proc(5), smaps_rollup) of bubblewrap, warden and gocryptfs: what is shared counts once, split among those who
share it. sshd's processes are not counted, nor what the kernel holds for namespaces and mounts. Needs root: nobody
else may look into a warden.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path

from bench import place
from bench.measure import Row, ends
from tests.harness import PASSPHRASE, Gateway, Held, Person, eventually

SIZES = (1, 20, 100)
UNLIMITED = {"limits.sessions": "0", "limits.views": "0", "limits.projects": "0"}
SETTLE = 5.0
"""Seconds for which nothing happens before we look."""


def run() -> list[Row]:
    """One principal with as many projects as sessions; each session has a connection of its own."""
    if os.geteuid() != 0:
        print("memory: left out, it needs root", file=sys.stderr)
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
    """A new project, unlocked over a connection of its own."""
    who.new(project)
    held = who.hold("mount", project, stdin=PASSPHRASE + "\n")
    held.read_until("unlocked")
    return held


def memory_of(gateway: Gateway, size: int, budget: str) -> Row:
    """Of an idle session, of as many as there are."""
    time.sleep(SETTLE)
    parts = {"bwrap": 0.0, "warden": 0.0, "gocryptfs": 0.0}
    for pid, program in place.session_pids(gateway).items():
        parts[program] += _pss(pid) / size
    detail = ", ".join(f"{program} {mib:.1f}" for program, mib in parts.items())
    return Row(f"PSS of an idle session, of {size}", detail, "-", f"{sum(parts.values()):.1f} MiB", budget)


def _pss(pid: int) -> float:
    """MiB."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise AssertionError(f"process {pid} has no Pss")


def lock_all(gateway: Gateway, clients: list[Held], budget: str) -> list[Row]:
    """How long it takes until nothing is left of the views, and of the sessions, of all `clients`, killed at once."""

    def kill() -> None:
        for client in clients:
            client.kill()

    pids = place.session_pids(gateway)
    after = ends(pids, kill)
    views = max(seconds for pid, seconds in after.items() if pids[pid] == "gocryptfs")
    what = f"{len(clients)} clients killed at once"
    return [
        Row(f"{what}: no view left", "-", "-", f"{views:.2f} s", budget),
        Row(f"{what}: no session left", "-", "-", f"{max(after.values()):.2f} s", budget),
    ]
