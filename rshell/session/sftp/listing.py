"""The directories that no session has as a whole: that of all projects, and those of who shares some."""

from __future__ import annotations

from gateway.identity.names import Principal, SharedName
from gateway.sandbox.paths import PROJECTS
from rshell.session.sftp import packets
from rshell.session.sftp.names import Place, located

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.identity.names import Named
    from rshell.session.sftp.backend import Answer

_ROOT = f"{PROJECTS}/".encode()


class Open:
    """A handle of a directory that no session has as a whole."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.is_read = False


class Listing:
    """Gathers the attributes of projects from their sessions."""

    def __init__(self, id_: bytes, missing: int) -> None:
        self._id = id_
        self._missing = missing
        self._entries: list[tuple[bytes, bytes]] = []

    def collector(self, name: bytes) -> Answer:
        def collect(body: bytes) -> bytes:
            self._missing -= 1
            if body[:1] == bytes([packets.ATTRS]):
                self._entries.append((name, body[5:]))
            return b"" if self._missing else packets.names(self._id, sorted(self._entries))

        return collect


def directories(sharers: Mapping[str, Principal]) -> tuple[tuple[Place, bytes], ...]:
    """Those that no session has as a whole."""
    return (located(b"/", sharers), *((one, _ROOT + word.encode()) for word, one in sharers.items()))


def shown_in(directory: Place, project: Named) -> bytes:
    """The path, from that of the projects, of what a directory shows for an unlocked project; empty for nothing."""
    owner = project.owner if isinstance(project, SharedName) else None
    if directory is None:
        return (owner.word if owner else project).encode()
    return project.encode() if owner == directory else b""
