"""Ending sessions from outside: all are asked at once, and the warden of one that does not answer is killed."""

from __future__ import annotations

import os
import signal
import time

from gateway.base.records import Record
from gateway.session import cleanup, inquiry, layout, liveness, protocol, warden_process
from gateway.session.registry import Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gateway.audit.log import AuditLog
    from gateway.session.protocol import Message

CLOSED, KILLED, REMAINS = "closed", "killed", "remains"

UNREAD, UNANSWERED = 10.0, 30.0
"""Seconds after which a session is killed: one that has not read the request, as when its warden is stopped, and one
that has read it but not ended. A session's end has bounds of its own, which add up to less.
"""
_EXIT = 5.0
"""Seconds for the kernel to end what was killed."""


class Ended(Record):
    """How a session ended: CLOSED, it locked everything by itself; KILLED, its warden was killed, and with it, by the
    kernel, everything in it; REMAINS, it did neither: no warden was found, or the kernel could not end it.
    """

    session: Session
    how: str


def end(run: str, chosen: Iterable[Session], log: AuditLog, ended_by: str, reason: str = "killed") -> Iterator[Ended]:
    """Have the `chosen` sessions lock everything and end. Yields each once, as it ends.

    `log` gets the end of those that are killed, with `ended_by`: the command that did it. A process is killed only if
    it is that session's warden (gateway.session.warden_process), whatever its record says.
    """
    killed: list[tuple[Session, int | None]] = []

    def request(session: Session) -> protocol.Request:
        return protocol.Close(principal=session.principal, origin="enc-gateway", reason=reason)

    for session, outcome in inquiry.ask(run, chosen, request, UNREAD, UNANSWERED):
        if _has_closed(run, session, outcome):
            yield Ended(session=session, how=CLOSED)
        else:
            killed.append((session, warden_process.send(run, session, signal.SIGKILL)))
    deadline = time.monotonic() + _EXIT
    for session, pidfd in killed:
        how = KILLED if pidfd is not None and _see_exit(pidfd, deadline) else REMAINS
        if not liveness.is_live(path := layout.path(run, session.principal, session.id)):
            how = KILLED
            cleanup.bury(path, log, ended_by, reason)
        yield Ended(session=session, how=how)


def _has_closed(run: str, session: Session, outcome: Message | str) -> bool:
    """Whether the session has ended by itself. One that closes the connection instead of answering is about to."""
    if outcome == inquiry.ENDED:
        deadline = time.monotonic() + 1
        while not (ended := liveness.has_ended(run, session)) and time.monotonic() < deadline:
            time.sleep(0.01)
        return ended
    return isinstance(outcome, protocol.Done)


def _see_exit(pidfd: int, deadline: float) -> bool:
    try:
        return warden_process.has_ended(pidfd, max(0.0, deadline - time.monotonic()))
    finally:
        os.close(pidfd)
