"""Ending sessions from outside: all are asked at once, and who does not answer is killed."""

from __future__ import annotations

import contextlib
import os
import signal
import time

from gateway.base import process
from gateway.session import asking, liveness, protocol
from gateway.session.registry import Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_KILL_SECONDS = 5.0
"""For SIGKILL to work on all that do not answer."""


def patience(grace: int) -> float:
    """Seconds without an answer from any session after which those that are left are killed: longer than a lock takes
    (gateway.warden.views), of which `grace` (lock.grace) is a part.
    """
    return grace + 4.0


def kill(run: str, chosen: Iterable[Session], grace: int, reason: str = "killed") -> Iterator[tuple[str, bool]]:
    """Have the `chosen` sessions lock everything and end. Each one's id when it has, and whether it did so by itself;
    one that does not answer loses its warden, and with it, by the kernel, everything in it.
    """
    requests = [
        (session, protocol.Close(principal=session.principal, origin="enc-gateway", reason=reason))
        for session in chosen
    ]
    silent = []
    for answer in asking.ask_all(run, requests, patience(grace)):
        if answer.is_silent:
            silent.append(answer.session)
        else:
            yield answer.session.id, True
    handles = [_kill(run, session) for session in silent]
    deadline = time.monotonic() + _KILL_SECONDS
    for session, handle in zip(silent, handles, strict=True):
        if handle is not None:
            process.wait_readable(handle, max(0.0, deadline - time.monotonic()))
            os.close(handle)
        yield session.id, False


def _kill(run: str, session: Session) -> int | None:
    """SIGKILL to the warden, while its session is seen to be alive, so that the pid is certainly its own. Returns a
    pidfd, which tells its end; None when it had ended.
    """
    try:
        handle = os.pidfd_open(session.pid)
    except ProcessLookupError:
        return None
    with contextlib.suppress(ProcessLookupError):
        if not liveness.has_ended(run, session):
            signal.pidfd_send_signal(handle, signal.SIGKILL)
    return handle
