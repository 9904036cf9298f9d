"""What the session on the connection has said: one JSON object a line (docs/protocol.md), in a file that ssh writes."""

from __future__ import annotations

import contextlib
import fcntl
import json
import time
from typing import Any

from client.state.store import Store


def spoken(store: Store) -> list[dict[str, Any]]:
    """All of it so far, oldest first; complete lines only."""
    try:
        with open(store.events, encoding="utf-8", errors="replace") as file:
            text = file.read()
    except OSError:
        return []
    events = []
    for line in text[: text.rfind("\n") + 1].splitlines():
        with contextlib.suppress(ValueError, RecursionError):
            event = json.loads(line)
            if isinstance(event, dict):
                events.append({"event": "", **event})
    return events


def is_open(store: Store) -> bool:
    """Whether the session can still say something: ssh has the file open, and so locked, as long as the channel is."""
    try:
        with open(store.events, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        pass
    return False


_WHY = {
    "unmount": "it was locked from elsewhere",
    "logout": "the session was closed from elsewhere",
    "idle-view": "the gateway locked it: nothing was read or written in it",
    "idle-session": "the gateway closed the session: nothing happened in it",
    "revoked": "the gateway closed the session: the key is no longer authorized",
    "killed": "the gateway's sysadmin closed the session",
    "shutdown": "the gateway is shutting down",
    "failed": "the gateway lost it: gocryptfs ended unexpectedly",
}


def why_locked(store: Store, project: str) -> str:
    """Why the gateway locked `project`, if that is the last that it said of it; "" otherwise."""
    event = _last(store, project)
    return _WHY.get(str(event.get("reason")), "the gateway locked it") if event.get("event") == "locked" else ""


def wait_until_unlocked(store: Store, project: str, seconds: float = 5.0) -> None:
    """The answer to `mount` may overtake what the session says of it; until that is here, it says that it is locked."""
    deadline = time.monotonic() + seconds
    while _last(store, project).get("event") != "unlocked" and time.monotonic() < deadline:
        time.sleep(0.01)


def _last(store: Store, project: str) -> dict[str, Any]:
    said = [
        event for event in spoken(store) if event["event"] in ("locked", "unlocked") and event.get("project") == project
    ]
    return said[-1] if said else {}
