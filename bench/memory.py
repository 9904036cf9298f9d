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
from bench.measure import Row, until_gone
from tests.harness import PASSPHRASE, Gateway, Held, Person, eventually

SIZES = (1, 20, 100)
SETTLE = 5.0
"""Seconds for which nothing happens before we look."""


def run() -> list[Row]:
    """One principal with as many projects as sessions; each session has a connection of its own."""
    if os.geteuid() != 0:
        print("memory: left out, it needs root", file=sys.stderr)
        return []
    rows: list[Row] = []
    with place.gateway() as gateway, contextlib.ExitStack() as stack:
        who = gateway.person("busy")
        clients: list[Held] = []
        for size in SIZES:
            while len(clients) < size:
                clients.append(_session(who, f"p{len(clients)}"))
                stack.callback(clients[-1].end)
            rows.append(_memory(gateway, size))
        rows.append(_lock_all(gateway, clients))
        eventually(lambda: not gateway.leftovers())
    return rows


def _session(who: Person, project: str) -> Held:
    who.new(project)
    held = who.hold("mount", project, stdin=PASSPHRASE + "\n")
    held.read_until("unlocked")
    return held


def _memory(gateway: Gateway, size: int) -> Row:
    time.sleep(SETTLE)
    parts = {"bwrap": 0.0, "warden": 0.0, "gocryptfs": 0.0}
    for pid, program in place.session_pids(gateway).items():
        parts[program] += _pss(pid) / size
    detail = ", ".join(f"{program} {mib:.1f}" for program, mib in parts.items())
    budget = "14 MiB" if size == max(SIZES) else "-"
    return Row(f"PSS of an idle session, of {size}", detail, "-", f"{sum(parts.values()):.1f} MiB", budget)


def _pss(pid: int) -> float:
    """MiB."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise AssertionError(f"process {pid} has no Pss")


def _lock_all(gateway: Gateway, clients: list[Held]) -> Row:
    def kill() -> None:
        for client in clients:
            client.kill()

    seconds = until_gone(place.session_pids(gateway), kill)
    return Row(f"{len(clients)} clients killed at once: all gone", "-", "-", f"{seconds:.2f} s", "10 s for 1,000")
