"""`enc-gateway sweep`, which the timer runs."""

from __future__ import annotations

from pathlib import Path

import click

from gateway.admin import account, options
from gateway.audit.log import AuditLog
from gateway.config import loader
from gateway.session import cleanup
from gateway.vault import garbage


@click.command()
@options.settings
def sweep(settings: Path) -> None:
    """Clear away what crashes left behind, and removed projects past their age.

    Keys that sshd will not take are told to the audit: to whoever has one they look like an unknown key.
    """
    from gateway.doctor import examination, keys
    from gateway.doctor.finding import Level

    values = loader.load(str(settings))
    log = AuditLog(values.paths_audit, values.audit_syslog, required=False)
    findings = list(keys.check(examination.patient(str(settings), values)))
    with account.acting(values):
        for finding in findings:
            if finding.level is Level.FAIL:
                log.write("misconfigured", where=finding.state)
        counted = {"sessions": cleanup.sweep(values.paths_run), **garbage.sweep(values.paths_vaults, values.trash_days)}
    click.echo(", ".join(f"{number} {kind}" for kind, number in counted.items()))
