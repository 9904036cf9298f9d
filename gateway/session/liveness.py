"""Whether a session is alive: its warden holds the lock in its directory for life. This only asks.

gateway.session.cleanup removes what dead sessions left behind.
"""

from __future__ import annotations

import os

from gateway.base import locks
from gateway.identity.names import SessionId
from gateway.session import layout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.session.registry import Session


def is_live(path: str) -> bool:
    """Whether the session whose directory is `path` lives, also while it shows nothing yet. Raises OSError when its
    lock cannot be opened.
    """
    try:
        fd = os.open(os.path.join(path, layout.LOCK), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    try:
        return locks.is_held(fd)
    finally:
        os.close(fd)


def has_ended(run: str, session: Session) -> bool:
    """Whether it lives no more. While it does, its pid is certainly its own."""
    return not is_live(layout.path(run, session.id))


def count(run: str) -> int:
    """How many sessions live or are being started, also such as show nothing yet."""
    root = layout.directory(run)
    return sum(SessionId.accepts(name) and is_live(os.path.join(root, name)) for name in layout.names(root))
