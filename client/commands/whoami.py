"""`enc whoami`."""

from __future__ import annotations

import click

from client import options
from client.connection import remote_command
from client.state.config import Profile


@click.command("whoami")
@options.gateway
def command(profile: Profile, as_json: bool) -> int:
    """Show your name and key on the gateway, and your live sessions."""
    return remote_command.run(profile, ["whoami", *(["--json"] if as_json else [])])
