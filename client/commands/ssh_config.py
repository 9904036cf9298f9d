"""`enc ssh-config`."""

from __future__ import annotations

import os

import click

from client import options, output
from client.commands.workspace import HOME
from client.completion import PROJECT_OR_HERE
from client.operations import whereabouts
from client.state.config import GatewayOptions
from client.workspace import files


@click.command("ssh-config")
@PROJECT_OR_HERE
@HOME
@options.HOST
@options.SSH_CONFIG
@options.IDENTITY
@options.JSON
def command(
    project: str | None, home: bool, host: str | None, ssh_config: str | None, identity: str | None, as_json: bool
) -> None:
    """Write a block `Host enc-PROJECT`, so that ssh, scp, rsync, git and editors reach the workspace of PROJECT.

    It is in a file of enc's own, which ~/.ssh/config includes from then on. The project must be unlocked when it is
    used. In a mount, PROJECT is the one that you are in.
    """
    given: GatewayOptions = options.given(host, ssh_config, identity)
    place = whereabouts.resolve(given, project or "", None, "ssh-config")
    files.public_key()
    name = files.write_block(place.profile, place.project, given, home).name
    user_config = os.path.expanduser("~/.ssh/config")
    added = files.include(user_config)
    text = f"ssh {name} reaches the workspace of {place.project} while it is unlocked"
    if added:
        text += f"\n{output.short(user_config)} includes {output.short(files.ssh_config())} now"
    fields = {"project": place.project, "host": name, "file": files.ssh_config(), "included": added}
    output.result(fields, text, as_json)
