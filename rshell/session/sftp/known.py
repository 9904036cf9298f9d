"""The sessions of a principal as the router last saw them: to read them for each request would cost more than the
request. What changes in the run directory is seen at once, by one lstat(2) for each session; what changes nothing
there, such as the end of a warden that was killed, within a second.
"""

from __future__ import annotations

import os
import time

from gateway.session import layout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.identity.names import Principal
    from gateway.session.registry import Session
    from rshell.context import Context

    Seen = tuple[int, int] | None

_SECONDS = 1.0


class Known:
    """What `sessions` and `projects` say is true when they are asked."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._sessions: tuple[Session, ...] = ()
        self._projects: dict[str, set[bytes]] = {}
        self._looked = float("-inf")
        self._sharers: Mapping[str, Principal] = {}
        self._seen: dict[str, Seen] = {}

    def sessions(self) -> tuple[Session, ...]:
        """Those that live, oldest first. Raises Misconfigured."""
        if not self._is_fresh():
            self._look()
        return self._sessions

    def sharers(self) -> Mapping[str, Principal]:
        """As transfer.project_of takes them, of those whose projects are held. Raises Misconfigured."""
        if not self._is_fresh():
            self._look()
        return self._sharers

    def projects(self, session: Session) -> set[bytes]:
        """What is unlocked in it; nothing if one would have to look first."""
        return self._projects.get(session.id, set()) if self._is_fresh() else set()

    def _is_fresh(self) -> bool:
        recent = time.monotonic() - self._looked <= _SECONDS
        return recent and all(_seen(path) == was for path, was in self._seen.items())

    def _look(self) -> None:
        run, owners = self._context.config.paths_run, self._context.held_owners()
        whose = (self._context.caller.principal, *owners)
        homes = [layout.home(run, principal) for principal in whose]
        records = [os.path.join(path, layout.RECORD) for one in whose for path in layout.sessions(run, one)]
        self._seen = {path: _seen(path) for path in (*homes, *records)}  # before the look: what comes is seen again
        self._sessions = self._context.sessions()
        own = {view.project for one in self._sessions for view in one.views}  # may be called like who shared before
        self._sharers = {one.word: one for one in owners if one.word not in own}
        self._projects = {one.id: {view.project.encode() for view in one.views} for one in self._sessions}
        self._looked = time.monotonic()


def _seen(path: str) -> Seen:
    """What changes when the file at `path` is replaced, or something in the directory there is made or removed."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns
