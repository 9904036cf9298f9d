"""The session for which a front makes a network or a cgroup: its warden, seen from outside the sandbox."""

from __future__ import annotations

from gateway.base.records import Record
from gateway.errors import NotUnlocked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class Target(Record):
    """`pid` is the warden's, as the host sees it, for as long as `is_live` says so."""

    name: str
    pid: int
    is_live: Callable[[], bool]

    def ended(self) -> NotUnlocked:
        """What to raise when the session is found to be gone."""
        return NotUnlocked(f"session {self.name} has just ended")

    def require_live(self) -> None:
        """Raise NotUnlocked when the session has ended: then the pid may be anybody's."""
        if not self.is_live():
            raise self.ended()
