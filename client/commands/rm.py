"""`enc rm`."""

from __future__ import annotations

import click

from client import options
from client.completion import PROJECT
from client.connection import remote_command
from client.state.config import Profile


@click.command("rm")
@PROJECT
@click.option("--yes", is_flag=True, help="Do not ask.")
@options.gateway
def command(profile: Profile, project: str, yes: bool, as_json: bool) -> int:
    """Remove PROJECT, which must be locked. A sysadmin can still bring it back from the gateway's trash."""
    flags = [*(["--yes"] if yes else []), *(["--json"] if as_json else [])]
    return remote_command.pass_on(profile, ["rm", project, *flags], tty=not yes and not as_json)
