"""Whom what is said in a session reaches: those whom it concerns."""

from __future__ import annotations

from gateway.warden.activity import SESSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gateway.errors import EncError
    from gateway.identity.names import ProjectName
    from gateway.warden.holders.holder import Holder


class Audience:
    """`holders()` are all of them, those that are leaving included. A name is a project, a holder's, or SESSION."""

    def __init__(self, holders: Callable[[], Iterable[Holder]]) -> None:
        self._holders = holders

    def of(self, name: str) -> list[Holder]:
        """Whom something that is said of `name` concerns."""
        return [one for one in self._holders() if name in (SESSION, one.name) or name in one.projects]

    def unlocked(self, project: ProjectName, but: Holder | None = None) -> None:
        for one in self.of(project):
            if one is not but:
                one.say.unlocked(project)

    def warning(self, name: str, seconds: int) -> None:
        for one in self.of(name):
            one.say.warning(_project(name), seconds)

    def relieved(self, name: str) -> None:
        for one in self.of(name):
            one.say.relieved(_project(name))

    def idle_for(self, name: str, seconds: int) -> None:
        """Said before it is locked for that."""
        for one in self.of(name):
            one.say.idle_for[_project(name)] = seconds

    def closed(self, reason: str) -> None:
        for one in self._holders():
            one.closed(reason)

    def failed(self, error: EncError) -> None:
        for one in self._holders():
            one.say.failed(error)


def _project(name: str) -> str:
    """What a holder is told of a name: to itself, its hold of the session is the session."""
    return "" if name.startswith("@") else name
