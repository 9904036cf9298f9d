"""What the session on the gateway reports: one JSON object a line (docs/protocol.md), in a file that ssh appends to."""

from __future__ import annotations

import contextlib
import json
import time
from typing import Any

from client.state.store import Store
from client.system import files

_LOCKED_BECAUSE = {
    "unmount": "an `unmount` command locked it",
    "logout": "a `logout` command closed the session",
    "idle-view": "the gateway locked it because it was idle",
    "idle-session": "the gateway closed the session because it was idle",
    "revoked": "the gateway closed the session because your key was revoked",
    "killed": "your sysadmin closed the session",
    "shutdown": "the gateway is shutting down",
    "failed": "gocryptfs on the gateway ended unexpectedly",
}


def read(store: Store) -> list[dict[str, Any]]:
    """All events so far, oldest first. Lines that are incomplete or not a JSON object are left out."""
    try:
        with open(store.events, encoding="utf-8", errors="replace") as file:
            text = file.read()
    except OSError:
        return []
    events = []
    for line in text.split("\n")[:-1]:
        with contextlib.suppress(ValueError, RecursionError):
            event = json.loads(line)
            if isinstance(event, dict):
                events.append({"event": "", **event})
    return events


def is_channel_open(store: Store) -> bool:
    """Whether the session's channel is open: ssh then has the file open, and with it the lock that `session` took."""
    return files.is_locked(store.events)


def why_locked(store: Store, project: str) -> str:
    """Why the gateway locked `project`, for all or for us alone, for a message; "" when its last event is neither."""
    event = _last(store, project)
    if event.get("event") not in ("locked", "left"):
        return ""
    why = _LOCKED_BECAUSE.get(str(event.get("reason")), "the gateway locked it")
    return why if event["event"] == "locked" else f"{why}; another machine has it on"


def wait_until_unlocked(store: Store, project: str, seconds: float = 5.0) -> None:
    """Wait for the event `unlocked`. The answer to `mount` may arrive before it; until then the last is `locked`."""
    deadline = time.monotonic() + seconds
    while _last(store, project).get("event") != "unlocked" and time.monotonic() < deadline:
        time.sleep(0.01)


def _last(store: Store, project: str) -> dict[str, Any]:
    own = (event for event in read(store) if event.get("project") == project)
    changes = [event for event in own if event["event"] in ("locked", "left", "unlocked")]
    return changes[-1] if changes else {}
