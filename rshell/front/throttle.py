"""Apply the limits on a principal's requests and connections (gateway.limits.rates) to a request.

What ends or shows sessions always passes: no limit, no full disk and no lock of a stuck process keeps anybody from
locking a project. Beyond the limit it is counted like the rest, so it cannot fill the audit either.
"""

from __future__ import annotations

import time

from gateway.audit.log import AuditLog
from gateway.errors import EncError, Misconfigured
from gateway.limits import rates

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.config.schema import Config
    from gateway.identity.authentication import Caller
    from gateway.identity.names import Principal
    from rshell.language.command import Command

_UNCOUNTED_SECONDS = 1
"""What a request that cannot be counted costs, so that it has a bound nevertheless."""


class Unrecorded(AuditLog):
    """The log of a request that is only counted: nothing is written."""

    def bound(self, **more: object) -> Unrecorded:
        return Unrecorded(self.path, self.syslog, self.required, **{**self.context, **more})

    def write(self, event: str, **fields: object) -> None:
        """Drop the record."""


def rule(
    config: Config,
    log: AuditLog,
    caller: Caller,
    asked: Command | None = None,
    at_prompt: bool = False,
    kind: str = rates.LISTED,
) -> tuple[AuditLog, EncError | None]:
    """The log for the records of this request (None: a line that is no command), and the error if it is refused.

    `log` is the one of the request; it is replaced if the request is only counted.
    """
    always = asked is not None and asked.verb.always_passes
    if always:
        log = log.best_effort()

    def tell(principal: Principal, fields: dict[str, object]) -> None:
        AuditLog(log.path, log.syslog, log.required, principal=principal).write("throttled", **fields)

    try:
        ruling = rates.admit(
            config.paths_run,
            caller.principal,
            config.limits_requests,
            config.limits_logins,
            tell,
            connection="" if at_prompt else f"{caller.address}:{caller.port}",
            always=always,
            kind=kind,
        )
    except Misconfigured as error:
        time.sleep(_UNCOUNTED_SECONDS)
        return log, None if always else error
    if not ruling.is_recorded:
        log = Unrecorded(log.path, log.syslog, log.required, **log.context)
    return log, ruling.refusal
