"""`enc whoami`."""

from __future__ import annotations

import click

from client import gateway_command, options
from client.config import Profile


@click.command("whoami")
@options.gateway
def command(profile: Profile, as_json: bool) -> int:
    """Show who the gateway takes you for, and your live sessions."""
    return gateway_command.pass_on(profile, ["whoami", *(["--json"] if as_json else [])])
