"""Removing what dead sessions left behind, and recording their end where they could not. It never touches a live one.

A warden that was killed, or a host that ran out of memory, writes no end of its session into the audit log. Whoever
finds it does, once: the finder holds flock(2) on the session's lock file meanwhile. (That is another lock than the
warden's, so the session does not look alive.) Several may clean up at once: what is gone meanwhile was removed by
another.
"""

from __future__ import annotations

import os

from gateway.base import files, locks
from gateway.errors import Misconfigured
from gateway.session import layout, liveness, registry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.audit.log import AuditLog
    from gateway.identity.names import Principal

FOUND_DEAD = "found-dead"
"""The reason of an end that its finder wrote (gateway.audit.reasons)."""


def sweep(run: str, log: AuditLog, found_by: str) -> int:
    """`sweep_principal` for all principals. Raises Misconfigured when the run directory cannot be read."""
    return sum(sweep_principal(run, principal, log, found_by) for principal in layout.principals(run))


def sweep_principal(run: str, principal: Principal, log: AuditLog, found_by: str) -> int:
    """Remove every dead session of `principal`, and what was being made by those who died over it; how many of both.

    The end of a session that has not recorded it goes to `log`, with `found_by`: the command that found it. While that
    cannot be written, the session stays to be found again.
    """
    paths = [path for path in layout.sessions(run, principal) if liveness.state(path) == liveness.DEAD]
    removed = sum(bury(path, log, found_by) for path in paths)
    home = layout.home(run, principal)
    drafts = files.abandoned(home) if layout.is_readable_directory(home) else ()
    return removed + sum(map(_remove, drafts))


def bury(path: str, log: AuditLog, found_by: str, reason: str = FOUND_DEAD) -> bool:
    """Record the end of the dead session whose directory is `path`, if it is not recorded, and remove the directory.

    Returns whether it is gone.
    """
    try:
        claim = files.open_regular(os.path.join(path, layout.LOCK))
    except FileNotFoundError:  # somebody is removing it
        return _remove(path)
    except OSError:
        return False
    try:
        return locks.try_acquire(claim) and _record_end(path, log, found_by, reason) and _remove(path)
    finally:
        os.close(claim)


def _record_end(path: str, log: AuditLog, found_by: str, reason: str) -> bool:
    """Whether the end is on record now. Not if the record of the session could not be removed afterwards: it would be
    found again and again.
    """
    name = next((name for name in (layout.RECORD, layout.ENDING) if _is_file(os.path.join(path, name))), None)
    if name is None:
        return True
    from gateway.session import warden_process

    shown = registry.read(path, name)
    if not os.access(path, os.W_OK | os.X_OK) or (shown and warden_process.is_exiting(shown.pid)):
        return False
    principal, id_ = layout.owner(path)
    known = {field: getattr(shown, field) for field in ("fingerprint", "address", "port")} if shown else {}
    log = log.bound(session=id_, **{**known, "principal": principal})
    try:
        for view in shown.views if shown and name == layout.RECORD else ():  # else they are recorded as locked
            log.write("locked", project=view.project, reason=reason, forced=True, found_by=found_by)
        log.write("session-closed", reason=reason, found_by=found_by)
    except Misconfigured:  # the log cannot be written: this is no reason to fail the command
        return False
    return True


def _is_file(path: str) -> bool:
    try:
        os.close(files.open_regular(path))
    except OSError:
        return False
    return True


def discard(path: str) -> None:
    """Remove the directory `path` of a session that never began, unless it lives."""
    if liveness.state(path) == liveness.DEAD and registry.read(path) is None:
        _remove(path)


def _remove(path: str) -> bool:
    """Whether it is gone. The records first: an end is recorded once, also when something of nobody's keeps the
    directory. The lock last: while it is there, the directory is recognisably a session's.
    """
    try:
        staged = [name for name in os.listdir(path) if name.startswith(files.STAGED)]
        for name in (layout.RECORD, layout.ENDING, *staged, layout.SOCKET, layout.LOCK):
            layout.unlink(os.path.join(path, name))
        os.rmdir(path)
    except OSError:  # another caller removes it at this moment, or there is something of nobody's in it
        return not os.path.lexists(path)
    return True
