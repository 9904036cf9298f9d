"""What a session leaves in writing: its record among the live sessions, and its lines in the audit."""

from __future__ import annotations

import os

from gateway.audit.log import AuditLog
from gateway.base import json
from gateway.base.clock import milliseconds_since, utc_now
from gateway.errors import Misconfigured
from gateway.sandbox import paths
from gateway.session import layout, registry
from gateway.session.registry import Session
from gateway.session.spec import Spec
from gateway.vault.lease import LeaseHolder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gateway.errors import EncError
    from gateway.session.registry import Holder
    from gateway.warden.programs.programs import Program
    from gateway.warden.views.view import View


class Journal:
    """`complain` tells the user of an audit that cannot be written."""

    def __init__(self, spec: Spec, complain: Callable[[EncError], None]) -> None:
        self._spec = spec
        self._complain = complain
        self._pid = _host_pid(spec.status)
        self._since = utc_now()
        self._audit = AuditLog(
            os.path.join(paths.AUDIT, spec.audit.name),
            spec.audit.syslog,
            request=spec.anchor.request,
            session=spec.id,
            principal=spec.caller.principal,
            fingerprint=spec.caller.fingerprint,
            address=spec.caller.address,
            port=spec.caller.port,
        )
        if spec.home.shared:
            self._audit = self._audit.bound(owner=spec.home.owner)

    def record(self, event: str, **fields: object) -> None:
        """Write to the audit. What begins is recorded by the front or refused; to lock, a full disk is no hindrance."""
        try:
            self._audit.write(event, **fields)
        except Misconfigured as error:
            self._complain(error)

    def program_ended(self, program: Program, reason: str) -> None:
        """The session ended an attached program, which belongs to a key of its own."""
        address, _, port = program.origin.rpartition(":")
        about = {"fingerprint": program.fingerprint, "address": address, "port": int(port) if port.isdecimal() else 0}
        project = {"project": program.view} if program.view else {}
        who = {"principal": program.principal}
        self.record("program-ended", program=program.label, reason=reason, **who, **about, **project)

    def result(self, status: int) -> None:
        """The end of the request that the session began with; a prompt's session answers none."""
        if self._spec.anchor.hangup is None:
            self.record("result", status=status, took_ms=milliseconds_since(self._spec.anchor.began))

    def publish(self, views: Iterable[View], holders: tuple[Holder, ...]) -> None:
        """Show the session with its live `views` and `holders`. Raises Misconfigured when that cannot be written."""
        first = holders[0]
        record = Session(
            id=self._spec.id,
            principal=self._spec.home.owner,
            fingerprint=first.fingerprint,
            address=first.address,
            port=first.port,
            connection=first.connection,
            anchor=first.kind,
            since=self._since,
            pid=self._pid,
            views=tuple(registry.View(project=view.project, since=view.since) for view in views),
            holders=holders,
            shared=self._spec.home.shared,
        )
        try:
            registry.publish(paths.SESSION, record)
        except OSError as error:
            raise Misconfigured("the gateway cannot write its run directory", error.strerror) from error

    def retire(self) -> bool:
        """Show the session no longer; whether it was shown."""
        shown = os.path.exists(os.path.join(paths.SESSION, layout.RECORD))
        try:
            registry.retire(paths.SESSION)
        except OSError as error:
            self._complain(Misconfigured("the gateway cannot write its run directory", error.strerror))
        return shown

    def forget(self) -> None:
        """The session's end is in the audit: nobody has to write it there for us."""
        try:
            registry.forget(paths.SESSION)
        except OSError as error:
            self._complain(Misconfigured("the gateway cannot write its run directory", error.strerror))


def lease_holder(spec: Spec) -> LeaseHolder:
    """The session, in the vaults that it holds from now on."""
    host = spec.cluster.host if spec.cluster else ""
    return LeaseHolder(session=spec.id, since=utc_now(), address=spec.caller.address, host=host)


def _host_pid(status_fd: int) -> int:
    """Our pid as the host sees it, from bwrap's --json-status-fd, which stays open as long as bwrap lives."""
    return int(json.loads(os.read(status_fd, 4096).splitlines()[0])["child-pid"])
