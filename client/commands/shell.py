"""`enc shell`."""

from __future__ import annotations

import click

from client import options
from client.commands import program
from client.completion import PROJECT_OR_HERE


@click.command("shell")
@PROJECT_OR_HERE
@program.PROJECT_OPTION
@program.DIRECTORY
@program.NET
@program.TIME
@options.HOST
@options.SSH_CONFIG
@options.IDENTITY
@options.JSON
def command(
    project: str | None,
    named: str | None,
    directory: str | None,
    net: bool,
    seconds: str | None,
    host: str | None,
    ssh_config: str | None,
    identity: str | None,
    as_json: bool,
) -> int:
    """Open a shell on the gateway, in PROJECT, which must be unlocked. Without a terminal it reads commands.

    In a mount, PROJECT is the one that you are in, and the shell starts in the same directory.
    """
    chosen = program.Chosen(named or project or "", directory, net, seconds)
    return program.start("shell", options.given(host, ssh_config, identity), chosen, [], not as_json)
