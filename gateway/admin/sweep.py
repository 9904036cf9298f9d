"""`enc-gateway sweep`, which the timer runs."""

from __future__ import annotations

import time

import click

from gateway.admin import options
from gateway.audit.log import AuditLog
from gateway.config.schema import Config
from gateway.errors import Misconfigured
from gateway.identity import lint
from gateway.session import cleanup
from gateway.vault import garbage


@click.command()
@options.configured
def sweep(settings: Config) -> None:
    """Clear away what crashes left behind, and removed projects past their age.

    Keys that sshd will not take are told to the audit: to whoever has one they look like an unknown key.
    """
    log = AuditLog(settings.paths_audit, settings.audit_syslog, required=False)
    for problem in _problems(settings.paths_authorized_keys):
        log.write("misconfigured", where=problem)
    sessions = cleanup.sweep(settings.paths_run)
    counted = {"sessions": sessions, **garbage.sweep(settings.paths_vaults, settings.trash_days)}
    click.echo(", ".join(f"{number} {kind}" for kind, number in counted.items()))


def _problems(path: str) -> list[str]:
    """What is wrong with authorized_keys: nobody gets in by it, or not as was meant."""
    try:
        return [one.located(path) for one in lint.examine(path, time.time()) if one.level is lint.Level.ERROR]
    except (Misconfigured, OSError) as error:
        return [str(error)]
