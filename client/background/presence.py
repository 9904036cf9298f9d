"""Typing on the terminal of a mount as use of its project, for users who chose that (`typing_counts` in the config).

The kernel keeps the time of the last read from a terminal, in steps of 8 s. While the gateway warns of a lock, a user
who has just typed has the gateway told so (`touch PROJECT`).
"""

from __future__ import annotations

import contextlib
import os
import time

from client.connection import request, session_events
from client.errors import EncError
from client.state.records import Terminal
from client.state.store import Store

_RECENT = 60.0
"""Seconds: who typed that long ago is there."""
_ANSWER_SECONDS = 5.0


def keep(store: Store, terminal: Terminal) -> bool:
    """Keep the projects of which the gateway warns, if the user has just typed. Whether all of them were kept."""
    if not terminal.typing_counts or not _typed_within(terminal.tty, _RECENT):
        return False
    mine = {mount.project for mount in store.read().mounts_of(terminal.id)}
    kept = True
    for project in session_events.warned(store) & mine:
        try:
            request.send(store, "touch", project, seconds=_ANSWER_SECONDS)
        except EncError:  # the lock came first, or the connection has ended: the monitor says so
            kept = False
    return kept


def _typed_within(tty: str, seconds: float) -> bool:
    with contextlib.suppress(OSError):
        return bool(tty) and time.time() - os.stat(tty).st_atime < seconds
    return False
