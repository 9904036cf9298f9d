"""`enc touch`."""

from __future__ import annotations

import click

from client import options
from client.completion import UNLOCKED
from client.connection import remote_command
from client.state.config import Profile


@click.command("touch")
@UNLOCKED
@options.gateway
def command(profile: Profile, project: str, as_json: bool) -> int:
    """Start PROJECT's idle time again from zero. It must be unlocked."""
    return remote_command.run(profile, ["touch", project, *(["--json"] if as_json else [])], project=project)
