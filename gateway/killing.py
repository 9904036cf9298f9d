"""Ending a session from outside, by its socket."""

from __future__ import annotations

import os

from gateway import protocol, sessions
from gateway.errors import Internal


def kill(run: str, session: sessions.Session) -> None:
    """Have `session` lock everything and end; returns when it has, also when it ends by itself. Raises Internal."""
    request = protocol.Close(principal=session.principal, origin="enc-gateway", reason="killed")
    try:
        with protocol.connect(os.path.join(sessions.directory(run), session.id), sessions.SOCKET) as link:
            protocol.send(link, request)
            received = protocol.receive(link)
    except OSError:  # it has ended since it was listed
        return
    if received and isinstance(received[0], protocol.Failed):
        raise Internal(f"{session.id} did not end: {received[0].message}")
