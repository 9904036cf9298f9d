"""`enc whoami`."""

from __future__ import annotations

import click

from client import options
from client.connection import remote_command
from client.state.config import Profile


@click.command("whoami")
@options.gateway
def command(profile: Profile, as_json: bool) -> int:
    """Show who the gateway takes you for, and your live sessions."""
    return remote_command.pass_on(profile, ["whoami", *(["--json"] if as_json else [])])
