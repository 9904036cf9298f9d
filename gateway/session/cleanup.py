"""Removing what dead sessions left behind. It never touches a live one.

Several may clean up at once: what is gone meanwhile was removed by another.
"""

from __future__ import annotations

import os

from gateway.base import files
from gateway.identity.names import SessionId
from gateway.session import layout, liveness


def sweep(run: str) -> int:
    """Remove every dead session, and what was being made by those who died over it; how many of both."""
    root = layout.directory(run)
    dead = [name for name in layout.names(root) if SessionId.accepts(name) and remove_if_dead(os.path.join(root, name))]
    return len(dead) + remove_abandoned(root)


def remove_if_dead(path: str) -> bool:
    """Remove the session directory `path` unless it is that of a live session; whether it is gone."""
    return not liveness.is_live(path) and _remove(path)


def remove_abandoned(root: str) -> int:
    """Remove the directories of sessions that were never finished; how many."""
    return sum(_remove(path) for path in files.abandoned(root))


def _remove(path: str) -> bool:
    """Whether it is gone. The lock last: while it is there, the directory is recognisably a session's."""
    try:
        staged = [name for name in os.listdir(path) if name.startswith(files.STAGED)]
        for name in (*staged, layout.RECORD, layout.SOCKET, layout.LOCK):
            layout.unlink(os.path.join(path, name))
        os.rmdir(path)
    except OSError:  # another caller removes it at this moment, or there is something of nobody's in it
        return not os.path.lexists(path)
    return True
