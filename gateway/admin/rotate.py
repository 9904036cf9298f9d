"""`enc-gateway audit rotate`."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click

from gateway import config
from gateway.admin import account, options
from gateway.audit import AuditLog


@click.command()
@options.settings
@click.option("--due", is_flag=True, help="Only when the log has reached audit.rotate.")
@options.as_json
def rotate(settings: Path, due: bool, as_json: bool) -> None:
    """Close the log as LOG.NUMBER and begin a new one that goes on with its chain.

    `audit verify` checks both as one. audit.keep says how many closed ones are kept; that others were deleted is in
    the record with which the new one begins.
    """
    values = config.load(str(settings))
    closed = ""
    if not due or _is_due(values):
        with account.acting(values):
            closed = AuditLog(values.paths_audit, values.audit_syslog).rotate(values.audit_keep)
    if as_json:
        click.echo(json.dumps({"closed": closed or None}))
    else:
        click.echo(f"closed {closed}" if closed else "nothing to rotate")


def _is_due(values: config.Config) -> bool:
    try:
        return 0 < values.audit_rotate << 20 <= os.stat(values.paths_audit).st_size
    except FileNotFoundError:
        return False
