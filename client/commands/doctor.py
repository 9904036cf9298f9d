"""`enc doctor`."""

from __future__ import annotations

import click

from client import options
from client.operations import doctor


@click.command("doctor")
@options.HOST
@options.SSH_CONFIG
@options.IDENTITY
@options.JSON
def command(host: str | None, ssh_config: str | None, identity: str | None, as_json: bool) -> int:
    """Look for what is missing or wrong on this machine, and say how to put it right. Ends with 69 if something is."""
    found = []
    for one in doctor.examine(options.choice(host, ssh_config, identity)):
        found.append(one)
        if not as_json:
            click.echo(f"{one.level:8}{one.about}: {one.says}{f'; {one.fix}' if one.fix else ''}")
    status = 69 if any(one.level == "wrong" for one in found) else 0
    if as_json:
        options.say({"findings": [one._asdict() for one in found], "exit": status}, "", as_json)
    return status
