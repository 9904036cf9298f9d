"""Shell completion of project names, as the gateway lists them over a connection that is already open."""

from __future__ import annotations

from typing import Any

import click

from client.errors import EncError

_SECONDS = 3.0


def _names(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Never connects: the Tab key must not ask for a key's passphrase or wait for the network."""
    names = [each["name"] for each in _asked(ctx, ("ls",)).get("projects", [])]
    return [name for name in names if name.startswith(incomplete)]


def _asked(ctx: click.Context, words: tuple[str, ...]) -> dict[str, Any]:
    """The gateway's answer over a connection that is open; {} when there is none."""
    from client import options  # what follows is not needed to run a command
    from client.connection import request
    from client.state import config
    from client.state import store as stores

    ctx.obj = ctx.find_root().obj
    try:
        with ctx.scope():
            store = stores.connected(config.choose(options.given(None, None, None)))
        return request.send(store, *words, seconds=_SECONDS) if store else {}
    except EncError:
        return {}


def _slots(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    if ctx.params.get("action") == "add":
        names = ["key", "recovery", "passphrase"]
    else:
        names = [each["slot"] for each in _asked(ctx, ("slots", str(ctx.params.get("project")))).get("slots", [])]
    return [name for name in names if name.startswith(incomplete)]


def _trashed(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    names = {each["project"] for each in _asked(ctx, ("trash",)).get("trash", [])}
    return sorted(name for name in names if name.startswith(incomplete))


SLOT = click.argument("slot", metavar="KIND|SLOT", shell_complete=_slots)
TRASHED = click.argument("project", required=False, shell_complete=_trashed)
PROJECT_OR_HERE = click.argument("project", required=False, shell_complete=_names)
PROJECT = click.argument("project", shell_complete=_names)
PROJECTS = click.argument("names", metavar="[PROJECT]...", nargs=-1, shell_complete=_names)
