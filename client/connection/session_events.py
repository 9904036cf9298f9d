"""What the session on the gateway reports: one JSON object a line (docs/protocol.md), in a file that ssh appends to."""

from __future__ import annotations

import contextlib
import json
import time
from typing import Any

from client.state.store import Store
from client.system import files, names

_REASONS = {
    "unmount": "it was locked by `unmount`, typed elsewhere",
    "logout": "you logged out elsewhere",
    "idle-view": "it was idle",
    "idle-session": "your session was idle",
    "hangup": "the connection ended",
    "revoked": "your key was revoked, or it has expired",
    "unshared": "{owner} does not share it with you any more",
    "gave-up": "you gave it up, elsewhere",
    "killed": "your sysadmin ended your session",
    "paused": "your sysadmin paused the gateway",
    "shutdown": "the gateway was shut down",
    "failed": "gocryptfs on the gateway ended unexpectedly",
}
"""By the slug of docs/protocol.md, what stands after "parser is no longer mounted: ". `{owner}` is whose it is."""
_OF_OUR_OWN = ("unmount", "logout", "gave-up")
IDLE = (_REASONS["idle-view"], _REASONS["idle-session"])
"""How `why_locked` begins for a project that nobody used."""


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


def warned(store: Store) -> set[str]:
    """The projects that will be locked because they are idle: of which the last that was said is a warning."""
    last = {event["project"]: event["event"] for event in read(store) if isinstance(event.get("project"), str)}
    return {project for project, event in last.items() if event == "warning" and project}


def is_channel_open(store: Store) -> bool:
    """Whether the session's channel is open: ssh then has the file open, and with it the lock that `session` took."""
    return files.is_locked(store.events)


def why_locked(store: Store, project: str, asked: bool = False) -> str:
    """Why the gateway locked `project`, for all or for us alone, for a message; "" when its last event says neither.

    `asked`: we have asked the gateway to lock, so that this is no reason.
    """
    event = _last(store, project)
    if event.get("event") not in ("locked", "left", "closed"):
        return ""
    reason = str(event.get("reason"))
    if asked and reason in _OF_OUR_OWN:
        return ""
    return _worded(event, project)


def why_closed(store: Store) -> str:
    """Why the gateway closed the session, for a message; "" when it has not said so."""
    closed = [event for event in read(store) if event["event"] == "closed"]
    return _worded(closed[-1], "") if closed else ""


def _worded(event: dict[str, Any], project: str) -> str:
    reason, seconds = str(event.get("reason")), event.get("seconds")
    words = _REASONS.get(reason, f"the gateway locked it ({reason})")
    words = words.replace("{owner}", names.owner(project) or "its owner")
    return f"{words} for {seconds} s" if words in IDLE and isinstance(seconds, int) else words


def wait_for_end(store: Store, project: str, seconds: float = 1.0) -> None:
    """Wait for what the gateway says of a lock that we asked for: its answer may arrive before."""
    deadline = time.monotonic() + seconds
    while _last(store, project).get("event") == "unlocked" and time.monotonic() < deadline:
        time.sleep(0.01)


def is_left(store: Store, project: str) -> bool:
    """Whether the project stays unlocked for others who have it: we have left it alone."""
    return _last(store, project).get("event") == "left"


def wait_for_reason(store: Store, project: str, seconds: float) -> str:
    """As `why_locked`, of a project whose view is gone: the gateway says why a moment later, or its channel closes."""
    deadline = time.monotonic() + seconds
    while not (why := why_locked(store, project)) and is_channel_open(store) and time.monotonic() < deadline:
        time.sleep(0.02)
    return why or why_locked(store, project)


def wait_until_unlocked(store: Store, project: str, seconds: float = 5.0) -> None:
    """Wait for the event `unlocked`. The answer to `mount` may arrive before it; until then the last is `locked`."""
    deadline = time.monotonic() + seconds
    while _last(store, project).get("event") != "unlocked" and time.monotonic() < deadline:
        time.sleep(0.01)


def _last(store: Store, project: str) -> dict[str, Any]:
    own = (event for event in read(store) if event.get("project") == project or event["event"] == "closed")
    changes = [event for event in own if event["event"] in ("locked", "left", "unlocked", "closed")]
    return changes[-1] if changes else {}
