"""`enc rm`."""

from __future__ import annotations

import click

from client import options
from client.completion import OWN_PROJECT
from client.connection import remote_command
from client.operations import unfinished
from client.state.config import Profile


@click.command("rm")
@OWN_PROJECT
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@options.gateway
def command(profile: Profile, project: str, yes: bool, as_json: bool) -> int:
    """Move PROJECT, which must be locked, to the gateway's trash. A sysadmin can restore it from there."""
    flags = [*(["--yes"] if yes else []), *(["--json"] if as_json else [])]
    status = remote_command.run(profile, ["rm", project, *flags], tty=not yes and not as_json, project=project)
    if not status:
        unfinished.end(profile, project)
    return status
