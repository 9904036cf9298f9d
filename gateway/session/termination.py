"""Ending sessions from outside: all are asked at once, and the warden of one that does not answer is killed."""

from __future__ import annotations

import os
import signal
import time

from gateway.base.records import Record
from gateway.session import asking, cleanup, layout, liveness, protocol, warden_process
from gateway.session.registry import Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gateway.audit.log import AuditLog
    from gateway.session.asking import Answer

CLOSED, KILLED, REMAINS = "closed", "killed", "remains"

_EXIT_SECONDS = 1.0
"""For a session that has closed its connection to end."""
_KILL_SECONDS = 5.0
"""For SIGKILL to work on all that do not answer."""


class Ended(Record):
    """How a session ended: CLOSED, it locked everything by itself; KILLED, its warden was killed, and with it, by the
    kernel, everything in it; REMAINS, it did neither: no warden was found, or the kernel could not end it.
    """

    session: Session
    how: str


def patience(grace: int) -> float:
    """Seconds without an answer from any session after which those that are left are killed: longer than a lock takes,
    of which `grace` (lock.grace) is a part.
    """
    return grace + 4.0


def end(
    run: str, chosen: Iterable[Session], grace: int, log: AuditLog, ended_by: str, reason: str = "killed"
) -> Iterator[Ended]:
    """Have the `chosen` sessions lock everything and end. Yields each once, as it ends.

    `log` gets the end of those that are killed, with `ended_by`: the command that did it. A process is killed only if
    it is that session's warden (gateway.session.warden_process), whatever its record says.
    """
    requests = [
        (session, protocol.Close(principal=session.principal, origin="enc-gateway", reason=reason))
        for session in chosen
    ]
    left = []
    for answer in asking.ask_all(run, requests, patience(grace)):
        if _has_closed(run, answer):
            yield Ended(session=answer.session, how=CLOSED)
        else:
            left.append(answer.session)
    deadline = time.monotonic() + _EXIT_SECONDS
    while any(not liveness.has_ended(run, session) for session in left) and time.monotonic() < deadline:
        time.sleep(0.01)
    for session, has_ended in _kill(run, left):
        if has_ended:
            cleanup.bury(layout.path(run, session.principal, session.id), log, ended_by, reason)
        yield Ended(session=session, how=KILLED if has_ended else REMAINS)


def _has_closed(run: str, answer: Answer) -> bool:
    """Whether the session has ended by itself. One that closes the connection instead of answering is about to."""
    if answer.reply is not None:
        answer.reply.close()
        return isinstance(answer.reply, protocol.Done)
    return not answer.is_silent and liveness.has_ended(run, answer.session)


def _kill(run: str, sessions: list[Session]) -> Iterator[tuple[Session, bool]]:
    """SIGKILL to the wardens of all `sessions`. Each session, and whether it has ended."""
    pidfds = [warden_process.send(run, session, signal.SIGKILL) for session in sessions]
    deadline = time.monotonic() + _KILL_SECONDS
    for session, pidfd in zip(sessions, pidfds, strict=True):
        if pidfd is not None:
            warden_process.has_ended(pidfd, max(0.0, deadline - time.monotonic()))
            os.close(pidfd)
        yield session, liveness.has_ended(run, session)
