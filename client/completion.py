"""Shell completion of project names, as the gateway lists them over a connection that is already open."""

from __future__ import annotations

import click

from client.errors import EncError
from client.system import names

_SECONDS = 3.0


def _names(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Never connects: the Tab key must not ask for a key's passphrase or wait for the network."""
    return _asked(ctx, ("ls",), "projects", "name", incomplete)


def _asked(ctx: click.Context, words: tuple[str, ...], listed: str, field: str, incomplete: str) -> list[str]:
    """What begins with `incomplete` of a list in the gateway's answer over a connection that is open.

    The shell puts it on the command line as it is: what a false gateway names a thing must be none of its words.
    """
    from client import options  # what follows is not needed to run a command
    from client.connection import request
    from client.state import config
    from client.state import store as stores

    ctx.obj = ctx.find_root().obj
    try:
        with ctx.scope():
            store = stores.connected(config.choose(options.given(None, None, None)))
        answer = request.send(store, *words, seconds=_SECONDS)[listed] if store else []
        known = dict.fromkeys(each[field] for each in answer)
    except (EncError, LookupError, TypeError):
        return []
    return [name for name in known if names.is_project(name) and name.startswith(incomplete)]


def _slots(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    if ctx.params.get("action") == "add":
        return [kind for kind in ("key", "recovery", "passphrase") if kind.startswith(incomplete)]
    return _asked(ctx, ("slots", str(ctx.params.get("project"))), "slots", "slot", incomplete)


def _trashed(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    return _asked(ctx, ("trash",), "trash", "project", incomplete)


SLOT = click.argument("slot", metavar="KIND|SLOT", shell_complete=_slots)
TRASHED = click.argument("project", required=False, shell_complete=_trashed)
PROJECT_OR_HERE = click.argument("project", required=False, shell_complete=_names)
PROJECT = click.argument("project", shell_complete=_names)
PROJECTS = click.argument("names", metavar="[PROJECT]...", nargs=-1, shell_complete=_names)
