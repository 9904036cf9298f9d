"""Shell completion of project names, as the gateway lists them over a connection that is already open."""

from __future__ import annotations

import click

from client.errors import EncError
from client.system import names

_SECONDS = 3.0


def _names(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Never connects: the Tab key must not ask for a key's passphrase or wait for the network."""
    from client import options  # what follows is not needed to run a command
    from client.connection import request
    from client.state import config
    from client.state import store as stores

    ctx.obj = ctx.find_root().obj
    try:
        with ctx.scope():
            store = stores.connected(config.choose(options.given(None, None, None)))
        listed = request.send(store, "ls", seconds=_SECONDS)["projects"] if store else []
        known = [each["name"] for each in listed]
    except (EncError, LookupError, TypeError):
        return []
    # the shell puts it on the command line as it is: what a false gateway calls a project must be none of its words
    return [name for name in known if names.is_project(name) and name.startswith(incomplete)]


PROJECT_OR_HERE = click.argument("project", required=False, shell_complete=_names)
PROJECT = click.argument("project", shell_complete=_names)
PROJECTS = click.argument("names", metavar="[PROJECT]...", nargs=-1, shell_complete=_names)
