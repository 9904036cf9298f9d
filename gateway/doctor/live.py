"""Sessions: live ones, what dead ones left behind, and a pause that somebody may have forgotten."""

from __future__ import annotations

import fcntl
import os

from gateway import pausing, sessions
from gateway.doctor.finding import Finding, Patient, fail, ok, warn
from gateway.names import SessionId

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


def check(patient: Patient) -> Iterator[Finding]:
    root = sessions.directory(patient.config.paths_run)
    try:
        entries = [entry for entry in os.listdir(root) if SessionId.accepts(entry)]
    except FileNotFoundError:
        entries = []
    except OSError as error:
        yield fail("sessions", f"{root}: {error.strerror}", "run doctor as root, or as the gateway's account")
        return
    stale = [entry for entry in entries if _stale(os.path.join(root, entry, sessions.LOCK))]
    if stale:
        yield warn("sessions", f"{len(stale)} dead ones left a record", "enc-gateway sweep")
    yield ok("sessions", f"{len(entries) - len(stale)} live")
    said = pausing.message(patient.config.paths_pause)
    if said is not None:
        yield warn("pause", f"the gateway is paused{f': {said}' if said else ''}", "enc-gateway resume")


def _stale(lock: str) -> bool:
    """Whether nobody holds it. A sweep would remove the record; we only look."""
    try:
        fd = os.open(lock, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return True
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(fd)
    return True
