"""`enc workspace`."""

from __future__ import annotations

import click

from client import options
from client.completion import PROJECT_OR_HERE
from client.operations import whereabouts
from client.state.config import GatewayOptions
from client.system import children
from client.workspace import files, reach

HOME = click.option("--home", is_flag=True, help="Its home is in the project, encrypted, and stays.")


@click.command("workspace")
@PROJECT_OR_HERE
@HOME
@click.option("--stdio", is_flag=True, help="Be the channel to its sshd, for ProxyCommand in ssh_config(5).")
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[-- CMD...]")
@options.HOST
@options.SSH_CONFIG
@options.IDENTITY
@options.JSON
def command(
    project: str | None,
    home: bool,
    stdio: bool,
    words: tuple[str, ...],
    host: str | None,
    ssh_config: str | None,
    identity: str | None,
    as_json: bool,
) -> int:
    """Open a shell in the workspace of PROJECT, which must be unlocked, or run CMD there.

    The workspace is a sandbox with the project, a home and a network of its own, in which programs go on after you have
    left, until the project is locked. It is served by SSH: `enc ssh-config` sets up editors for it. In a mount, PROJECT
    is the one that you are in.
    """
    given: GatewayOptions = options.given(host, ssh_config, identity)
    place = whereabouts.resolve(given, project or "", None, "workspace")
    if stdio:
        options.reach(place.profile, lambda where: reach.become_channel(where, place.project, home))
    files.public_key()
    block = files.write_block(place.profile, place.project, given, home or None)
    options.reach(place.profile, lambda where: reach.meet(where, place.project, block.home))
    return children.call([*reach.ssh_words(), "--", block.name, *words])
