"""`enc-gateway doctor`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from gateway.admin import options, output
from gateway.base import json


@click.command()
@options.config_path
@click.option(
    "--sessions",
    default=100,
    show_default=True,
    type=click.IntRange(1),
    help="How many live sessions the host should carry.",
)
@options.as_json
def doctor(settings: Path, sessions: int, as_json: bool) -> None:
    """Check this host and gateway, and print a fix for each problem.

    It changes nothing. Run it as root; as the gateway's account it cannot check sshd. Exits with 0, 1 after a warning,
    2 after a failure.
    """
    from gateway.doctor import checks, finding

    findings = checks.run_all(str(settings), sessions)
    if as_json:
        click.echo(json.dumps({"findings": [{**one.as_dict(), "level": one.level.value} for one in findings]}))
    else:
        for one in findings:
            fix = f"  ({one.fix})" if one.fix else ""
            click.echo(output.visible(f"{one.level.value:4}  {one.subject}: {one.state}{fix}"))
    sys.exit(finding.worst(findings))
