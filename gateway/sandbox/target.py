"""The session for which a front creates a network or a cgroup: its warden, as seen from outside the sandbox."""

from __future__ import annotations

from gateway.base.records import Record
from gateway.errors import NotUnlocked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class Target(Record):
    """A session: its id, and the warden's pid on the host, which is valid for as long as `is_live` returns True."""

    name: str
    pid: int
    is_live: Callable[[], bool]

    def ended(self) -> NotUnlocked:
        """The error to raise if the session has ended."""
        return NotUnlocked(f"session {self.name} has just ended")

    def require_live(self) -> None:
        """Raise NotUnlocked if the session has ended: its pid may then be another process's."""
        if not self.is_live():
            raise self.ended()
