"""The audit's chain, over rotated logs as well."""

from __future__ import annotations

from gateway.audit import verification
from gateway.doctor.finding import Finding, Patient, fail, ok, warn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


def check(patient: Patient) -> Iterator[Finding]:
    path = patient.config.paths_audit
    try:
        report = verification.verify(path)
    except FileNotFoundError:
        yield ok("audit", "empty")
        return
    except OSError as error:
        yield fail("audit", f"{path}: {error.strerror}", "nothing can be recorded, so nothing begins")
        return
    if report.findings:
        first = report.findings[0]
        state = f"{len(report.findings)} findings in {report.lines} lines, the first at {first.place()}"
        yield fail("audit", state, "enc-gateway audit verify")
    else:
        yield ok("audit", f"{report.lines} lines, the chain is whole")
    if patient.config.audit_when_full == "continue":
        yield warn("audit", "a full disk lets requests go unrecorded", 'audit.when_full = "refuse"')
