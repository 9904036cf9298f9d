"""`enc mv`."""

from __future__ import annotations

import click

from client import options
from client.completion import OWN_PROJECT
from client.connection import remote_command
from client.state.config import Profile


@click.command("mv")
@OWN_PROJECT
@click.argument("new")
@options.gateway
def command(profile: Profile, project: str, new: str, as_json: bool) -> int:
    """Rename PROJECT, which must be locked, to NEW."""
    return remote_command.run(profile, ["mv", project, new, *(["--json"] if as_json else [])], project=project)
