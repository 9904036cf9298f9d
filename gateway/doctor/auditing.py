"""Check the chain of the audit log and its closed logs. Closed logs that have sums are not read again."""

from __future__ import annotations

from gateway.audit import peers
from gateway.base import text
from gateway.cluster import audit_logs
from gateway.doctor.cluster import lost
from gateway.doctor.finding import Finding, Target, fail, ok, warn
from gateway.errors import is_storage_lost

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


def check(target: Target) -> Iterator[Finding]:
    path = target.config.paths_audit
    try:
        checked = audit_logs.verify(target.config, quick=True)
    except FileNotFoundError:
        yield ok("audit", "empty")
        return
    except OSError as error:
        if is_storage_lost(error):
            yield lost.finding("audit", target.config, str(error.filename or path), error.errno or 0)
            return
        yield fail(
            "audit",
            f"{error.filename or path}: {error.strerror}",
            "make it readable for the gateway's account: nothing begins that cannot be recorded",
        )
        return
    lines = text.counted(sum(one.report.lines for one in checked), "line")
    of_hosts = f" of {text.counted(len(checked), 'host')}" if len(checked) > 1 else ""
    if findings := peers.findings(checked):
        counted = text.counted(len(findings), "finding")
        state = f"{counted} in {lines}{of_hosts}, the first at {findings[0].place()}"
        yield fail("audit", state, "enc-gateway audit verify")
    else:
        unread = sum(one.report.unread for one in checked)
        closed = f"; {unread} of them in closed logs, as noted" if unread else ""
        yield ok("audit", f"{lines}{of_hosts}, no gap in the chain{closed}")
    if target.config.audit_when_full == "continue":
        yield warn("audit", "with a full disk, requests are carried out unrecorded", 'set audit.when_full = "refuse"')
