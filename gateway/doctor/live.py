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
    stale = [entry for entry in entries if _stale(os.path.join(root, entry))]
    if stale:
        yield warn("sessions", f"{len(stale)} dead ones left a record", "enc-gateway sweep")
    yield ok("sessions", f"{sum(_held(os.path.join(root, entry)) for entry in entries)} live")
    said = pausing.message(patient.config.paths_pause)
    if said is not None:
        yield warn("pause", f"the gateway is paused{f': {said}' if said else ''}", "enc-gateway resume")


def _stale(path: str) -> bool:
    """Whether a session ended without taking its record away; of one that did, an empty directory may be left."""
    return os.path.exists(os.path.join(path, sessions.RECORD)) and not _held(path)


def _held(path: str) -> bool:
    """Whether a session lives there. A sweep would remove what is left of a dead one; we only look."""
    try:
        fd = os.open(os.path.join(path, sessions.LOCK), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False
