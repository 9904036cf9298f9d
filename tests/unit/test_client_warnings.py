"""What a terminal is warned of: of what can still be lost in it, and of nothing that has happened already."""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path

from client.background import watchdog
from client.state.records import Mount, State, Terminal
from client.state.store import Store
from client.system import processes

ME = processes.of(os.getpid())
TERMINAL = Terminal("1-1", (ME,), "")
CLOSING = {"event": "warning", "seconds": 45}
LOCKING = {"event": "warning", "seconds": 45, "project": "parser"}


def made(tmp_path: Path, *projects: str) -> Store:
    store = Store(str(tmp_path))
    store.change(lambda now: now.with_terminal(TERMINAL))
    for name in projects:
        mount = Mount(name, f"/x/{name}", True, TERMINAL.id, ME, mount_id=1)
        store.change(partial(State.with_mount, mount=mount))
    return store


def test_of_the_sessions_end_only_where_something_is_mounted(tmp_path: Path) -> None:
    store = made(tmp_path)
    assert watchdog._warning(store, TERMINAL, CLOSING) == ""
    made(tmp_path, "parser")
    assert "your session will be closed in 45 s" in watchdog._warning(store, TERMINAL, CLOSING)


def test_a_warning_that_waited_is_dropped_when_the_lock_has_come(tmp_path: Path) -> None:
    store = made(tmp_path, "parser")
    (tmp_path / "events").write_text(json.dumps(LOCKING) + "\n")
    assert watchdog._is_still_due(store, TERMINAL, "parser") and watchdog._is_still_due(store, TERMINAL, "")
    with (tmp_path / "events").open("a") as file:
        file.write(json.dumps({"event": "locked", "project": "parser", "reason": "idle-view"}) + "\n")
    assert not watchdog._is_still_due(store, TERMINAL, "parser"), "the gateway has locked it"
    store.change(lambda now: now.without_mount("parser"))
    assert not watchdog._is_still_due(store, TERMINAL, ""), "nothing is mounted"
