"""Check the chain of the audit log and its closed logs. Closed logs that have sums are not read again."""

from __future__ import annotations

from gateway.audit import verification
from gateway.base import text
from gateway.doctor.finding import Finding, Target, fail, ok, warn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


def check(target: Target) -> Iterator[Finding]:
    path = target.config.paths_audit
    try:
        report = verification.verify(path, quick=True)
    except FileNotFoundError:
        yield ok("audit", "empty")
        return
    except OSError as error:
        yield fail(
            "audit",
            f"{path}: {error.strerror}",
            "make it readable for the gateway's account: nothing begins that cannot be recorded",
        )
        return
    if report.findings:
        first = report.findings[0]
        counted = text.counted(len(report.findings), "finding")
        state = f"{counted} in {text.counted(report.lines, 'line')}, the first at {first.place()}"
        yield fail("audit", state, "enc-gateway audit verify")
    else:
        closed = f"; {report.unread} of them in closed logs, as noted" if report.unread else ""
        yield ok("audit", f"{text.counted(report.lines, 'line')}, no gap in the chain{closed}")
    if target.config.audit_when_full == "continue":
        yield warn("audit", "with a full disk, requests are carried out unrecorded", 'set audit.when_full = "refuse"')
