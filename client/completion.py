"""Completing the names of projects: those mounted here, and, where a connection is open, those on the gateway."""

from __future__ import annotations

import click

from client.errors import EncError


def _names(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Never connects: a Tab must not ask for a key's passphrase, or wait for a network."""
    from client import options
    from client.connection import remote_command, ssh
    from client.state import config

    ctx.obj = ctx.find_root().obj
    try:
        with ctx.scope():
            store = remote_command.connected(config.choose(options.choice(None, None, None)))
        names = [each["name"] for each in ssh.ask(store, "ls", seconds=3)["projects"]] if store else []
    except EncError:
        return []
    return [name for name in names if name.startswith(incomplete)]


PROJECT = click.argument("project", shell_complete=_names)
PROJECTS = click.argument("names", metavar="[PROJECT]...", nargs=-1, shell_complete=_names)
