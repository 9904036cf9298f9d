"""Ending sessions from outside: all are asked at once, and who does not answer is killed."""

from __future__ import annotations

import os
import select
import signal
import time

from gateway.session import channel, layout, liveness, protocol
from gateway.session.registry import Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable, Iterator

PATIENCE = 60.0
"""Seconds for all of them to lock. A lock has bounds of its own, of which this is well above the sum."""


def kill(
    run: str, chosen: Iterable[Session], seconds: float = PATIENCE, reason: str = "killed"
) -> Iterator[tuple[str, bool]]:
    """Have the `chosen` sessions lock everything and end. Each one's id when it has, and whether it did so by itself;
    one that does not within `seconds` loses its warden, and with it, by the kernel, everything in it.
    """
    asked: dict[int, tuple[socket.socket, Session]] = {}
    waiting = select.poll()
    for session in chosen:
        if link := _ask(run, session, reason):
            asked[link.fileno()] = link, session
            waiting.register(link, select.POLLIN)
        else:
            yield session.id, True
    deadline = time.monotonic() + seconds
    while asked and (left := deadline - time.monotonic()) > 0:
        for fd, _ in waiting.poll(left * 1000):  # the answer, or the end of the one who owed it
            waiting.unregister(fd)
            link, session = asked.pop(fd)
            link.close()
            yield session.id, True
    for link, session in asked.values():
        link.close()
        _end(run, session)
        yield session.id, False


def _ask(run: str, session: Session, reason: str) -> socket.socket | None:
    """The connection on which the answer comes, or None when the session has ended since it was listed."""
    request = protocol.Close(principal=session.principal, origin="enc-gateway", reason=reason)
    try:
        link = channel.connect(os.path.join(layout.directory(run), session.id), layout.SOCKET)
        channel.send(link, request)
    except OSError:
        return None
    return link


def _end(run: str, session: Session) -> None:
    """SIGKILL to the warden, while its session is seen to be alive, so that the pid is certainly its own."""
    try:
        handle = os.pidfd_open(session.pid)
    except ProcessLookupError:
        return
    try:
        if not liveness.has_ended(run, session):
            signal.pidfd_send_signal(handle, signal.SIGKILL)
            select.select([handle], [], [], 5)
    finally:
        os.close(handle)
