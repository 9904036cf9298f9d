"""`enc doctor`."""

from __future__ import annotations

import click

from client import options, output
from client.operations import doctor
from client.system import terminal_text


@click.command("doctor")
@options.HOST
@options.SSH_CONFIG
@options.IDENTITY
@options.JSON
def command(host: str | None, ssh_config: str | None, identity: str | None, as_json: bool) -> int:
    """Check this machine, and say how to fix what is wrong. Exit status: 69 if something is wrong, else 0."""
    findings = []
    for finding in doctor.examine(options.given(host, ssh_config, identity)):
        findings.append(finding)
        if not as_json:
            fix = f"; {finding.fix}" if finding.fix else ""
            click.echo(terminal_text.in_one_line(f"{finding.level:8}{finding.about}: {finding.says}{fix}"))
    status = 69 if any(finding.level == "wrong" for finding in findings) else 0
    if as_json:
        output.result({"findings": [finding._asdict() for finding in findings], "exit": status}, "", as_json)
    return status
