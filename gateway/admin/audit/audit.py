"""`enc-gateway audit`: show, report, verify and rotate the audit log."""

from __future__ import annotations

import click

from gateway.admin.audit import integrity, report, show
from gateway.admin.usage import Group


@click.group(cls=Group)
def audit() -> None:
    """Show, verify, rotate and report the audit log."""


for _command in (show.show, report.report, integrity.verify, integrity.rotate):
    audit.add_command(_command)
