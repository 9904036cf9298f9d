"""`enc slots`."""

from __future__ import annotations

import click

from client import options
from client.completion import PROJECT
from client.connection import remote_command
from client.state.config import Profile


@click.command("slots")
@PROJECT
@options.gateway
def command(profile: Profile, project: str, as_json: bool) -> int:
    """List the ways to unlock PROJECT: kind, whose, since when, when last used, and which key."""
    return remote_command.run(profile, ["slots", project, *(["--json"] if as_json else [])])
