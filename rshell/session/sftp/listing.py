"""The directory of the projects, which no session has as a whole."""

from __future__ import annotations

from rshell.session.sftp import packets

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.identity.names import ProjectName
    from rshell.session.sftp.backend import Answer


class Listing:
    """Gathers the attributes of projects from their sessions."""

    def __init__(self, id_: bytes, missing: int) -> None:
        self._id = id_
        self._missing = missing
        self._entries: list[tuple[bytes, bytes]] = []

    def collector(self, project: ProjectName) -> Answer:
        def collect(body: bytes) -> bytes:
            self._missing -= 1
            if body[:1] == bytes([packets.ATTRS]):
                self._entries.append((project.encode(), body[5:]))
            return b"" if self._missing else packets.names(self._id, sorted(self._entries))

        return collect
