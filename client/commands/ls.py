"""`enc ls`."""

from __future__ import annotations

import click

from client import options
from client.connection import remote_command
from client.state.config import Profile


@click.command("ls")
@options.gateway
def command(profile: Profile, as_json: bool) -> int:
    """List your projects: locked or unlocked, size on disk, last used."""
    return remote_command.run(profile, ["ls", *(["--json"] if as_json else [])])
