"""Sessions: live ones, what dead ones left behind, and a pause that somebody may have forgotten."""

from __future__ import annotations

import os

from gateway.doctor.finding import Finding, Patient, fail, ok, warn
from gateway.identity.names import SessionId
from gateway.session import layout, liveness, maintenance

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


def check(patient: Patient) -> Iterator[Finding]:
    root = layout.directory(patient.config.paths_run)
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
    yield ok("sessions", f"{sum(liveness.is_live(os.path.join(root, entry)) for entry in entries)} live")
    said = maintenance.message(patient.config.paths_pause)
    if said is not None:
        yield warn("pause", f"the gateway is paused{f': {said}' if said else ''}", "enc-gateway resume")


def _stale(path: str) -> bool:
    """Whether a session ended without taking its record away; of one that did, an empty directory may be left."""
    return os.path.exists(os.path.join(path, layout.RECORD)) and not liveness.is_live(path)
