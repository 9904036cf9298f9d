"""Count live sessions; find records of dead ones, and a pause that somebody may have forgotten."""

from __future__ import annotations

import os

from gateway.doctor.finding import Finding, Target, fail, ok, warn
from gateway.identity.names import SessionId
from gateway.session import layout, liveness, maintenance

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


def check(target: Target) -> Iterator[Finding]:
    root = layout.directory(target.config.paths_run)
    try:
        entries = [entry for entry in os.listdir(root) if SessionId.accepts(entry)]
    except FileNotFoundError:
        entries = []
    except OSError as error:
        yield fail("sessions", f"{root}: {error.strerror}", "run doctor as root, or as the gateway's account")
        return
    stale = [entry for entry in entries if _stale(os.path.join(root, entry))]
    if stale:
        yield warn("sessions", f"{len(stale)} dead sessions left a record", "enc-gateway sweep")
    yield ok("sessions", f"{sum(liveness.is_live(os.path.join(root, entry)) for entry in entries)} live")
    message = maintenance.message(target.config.paths_pause)
    if message is not None:
        yield warn("pause", f"the gateway is paused{f': {message}' if message else ''}", "enc-gateway resume")


def _stale(path: str) -> bool:
    """Whether a session ended and left its record. An empty directory, without the record, is normal."""
    return os.path.exists(os.path.join(path, layout.RECORD)) and not liveness.is_live(path)
