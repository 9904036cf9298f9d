"""`enc-gateway doctor`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from gateway.admin import options
from gateway.base import json


@click.command()
@options.settings
@click.option(
    "--sessions", default=100, show_default=True, type=click.IntRange(1), help="How many are to be live at once."
)
@options.as_json
def doctor(settings: Path, sessions: int, as_json: bool) -> None:
    """Check this host and this gateway, and say what to do. Changes nothing.

    As root it looks at everything, as the gateway's account at all but sshd. Exits with 0, 1 for a warning, 2 for a
    failure.
    """
    from gateway.doctor import examination, finding

    findings = examination.examine(str(settings), sessions)
    if as_json:
        click.echo(json.dumps({"findings": [{**one.as_dict(), "level": one.level.value} for one in findings]}))
    else:
        for one in findings:
            fix = f"  ({one.fix})" if one.fix else ""
            click.echo(f"{one.level.value:4}  {one.subject}: {one.state}{fix}")
    sys.exit(finding.worst(findings))
