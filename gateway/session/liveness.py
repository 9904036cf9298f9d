"""Whether a session is alive: its warden holds the lock in its directory for life. This only asks.

gateway.session.cleanup removes what dead sessions left behind.
"""

from __future__ import annotations

import errno
import os

from gateway.base import files, locks
from gateway.session import layout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.session.registry import Session

LIVE, DEAD, FOREIGN = "live", "dead", "foreign"
"""What a path in the directory of sessions is. FOREIGN was not made by the gateway: a link, a file, a directory that we
cannot read, or one whose lock is no regular file.
"""

_FOREIGN_ERRORS = (errno.ENOTDIR, errno.ELOOP, errno.EACCES)


def state(path: str) -> str:
    """Whether the session whose directory is `path` lives, also while it shows nothing yet. What is gone is dead.

    Follows no link, does not block, and takes no lock. Raises OSError when the host has no descriptor left: that says
    nothing about the session.
    """
    try:
        directory = files.open_directory(path)
        try:
            lock = files.open_regular(layout.LOCK, dir_fd=directory)
        finally:
            os.close(directory)
    except FileNotFoundError:
        return DEAD
    except files.Irregular:
        return FOREIGN
    except OSError as error:
        if error.errno in _FOREIGN_ERRORS:
            return FOREIGN
        raise
    try:
        return LIVE if locks.is_held(lock) else DEAD
    finally:
        os.close(lock)


def is_live(path: str) -> bool:
    """Whether `state` is LIVE."""
    return state(path) == LIVE


def has_ended(run: str, session: Session) -> bool:
    """Whether it lives no more."""
    return not is_live(layout.path(run, session.principal, session.id))


def count(run: str) -> int:
    """How many sessions live or are being started, also such as show nothing yet."""
    return sum(is_live(path) for principal in layout.principals(run) for path in layout.sessions(run, principal))
