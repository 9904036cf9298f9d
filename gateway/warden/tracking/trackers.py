"""Following file I/O in the views of a session."""

from __future__ import annotations

from gateway.warden import mounts
from gateway.warden.loop import Loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.identity.names import ProjectName
    from gateway.warden.tracking.tracker import Tracker
    from gateway.warden.views.view import View


class Following:
    """`seen(project, kind)` tells of file I/O; `record` writes to the audit where a view cannot be followed fully."""

    def __init__(self, loop: Loop, seen: Callable[[ProjectName, str], None], record: Callable[..., None]) -> None:
        self._loop = loop
        self._seen = seen
        self._record = record
        self._begun = False
        self._trackers: dict[ProjectName, Tracker] = {}

    def begin(self) -> None:
        """Start. To be called once the session is open: to import what this needs takes its time."""
        self._begun = True

    def add(self, view: View) -> None:
        """Follow a live view, if we have begun and do not yet."""
        from gateway.warden.tracking.tracker import Tracker

        project = view.project
        if not (self._begun and view.since) or project in self._trackers:
            return
        self._trackers[project] = Tracker(
            self._loop,
            mounts.path(project),
            view.pid,
            seen=lambda kind: self._seen(project, kind),
            incomplete=lambda reason, error: self._incomplete(project, reason, error),
        )

    def remove(self, project: ProjectName) -> None:
        if tracker := self._trackers.pop(project, None):
            tracker.close()

    def look(self) -> None:
        """Report at once what has happened up to now."""
        for tracker in self._trackers.values():
            tracker.look()

    def _incomplete(self, project: ProjectName, reason: str, error: str) -> None:
        detail = {"error": error} if error else {}
        self._record("tracking", project=project, reason=reason, **detail)
