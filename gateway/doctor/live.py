"""Count live sessions; find what dead ones left, what is no session's, and a pause that somebody may have forgotten."""

from __future__ import annotations

import errno
import os
from collections import Counter

from gateway.doctor.cluster import lost
from gateway.doctor.finding import Finding, Target, fail, ok, warn
from gateway.errors import Misconfigured, Usage
from gateway.identity.names import Principal, SessionId
from gateway.session import layout, liveness, maintenance

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


def check(target: Target) -> Iterator[Finding]:
    run = target.config.paths_run
    try:
        states = Counter(_states(run))
    except Misconfigured:
        yield fail(
            "sessions", f"{layout.directory(run)} cannot be read", "run doctor as root, or as the gateway's account"
        )
        return
    if stale := states[liveness.DEAD]:
        yield warn("sessions", f"{stale} dead sessions left a record", "enc-gateway sweep")
    if foreign := list(_foreign(run)):
        fix = "find out who made that with the rights of the gateway's account, and remove it"
        more = f" and {len(foreign) - 1} more" if len(foreign) > 1 else ""
        yield warn("sessions", f"{foreign[0]}{more}: not made by the gateway", fix)
    yield ok("sessions", f"{states[liveness.LIVE]} live")
    pause = target.config.paths_pause
    try:
        message = maintenance.message(pause)
    except Misconfigured as error:
        yield lost.finding("pause", target.config, pause, getattr(error.__cause__, "errno", errno.EIO))
        return
    if message is not None:
        yield warn("pause", f"the gateway is paused{f': {message}' if message else ''}", "enc-gateway resume")


def _states(run: str) -> Iterator[str]:
    """The state of each session. A dead one without a record, such as an empty directory, is normal and left out."""
    for principal in layout.principals(run):
        for path in layout.sessions(run, principal):
            state = liveness.state(path)
            shows = any(os.path.lexists(os.path.join(path, name)) for name in (layout.RECORD, layout.ENDING))
            if state != liveness.DEAD or shows:
                yield state


def _foreign(run: str) -> Iterator[str]:
    """The paths among the sessions that are no directory of a principal, or no session's in one."""
    for name in _names(layout.directory(run)):
        home = os.path.join(layout.directory(run), name)
        if not _is_principal(name) or not layout.is_readable_directory(home):
            yield home
            continue
        for entry in _names(home):
            path = os.path.join(home, entry)
            if not entry.startswith(".") and (not SessionId.accepts(entry) or liveness.state(path) == liveness.FOREIGN):
                yield path


def _is_principal(directory: str) -> bool:
    try:
        Principal.of_directory(directory)
    except Usage:
        return False
    return True


def _names(path: str) -> list[str]:
    try:
        return sorted(os.listdir(path))
    except FileNotFoundError:
        return []
