"""Shell completion: project names as the gateway lists them over a connection that is already open, what is mounted
here, and commands.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from client.errors import EncError

if TYPE_CHECKING:
    from client.state.records import State

_SECONDS = 3.0


def _names(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Never connects: the Tab key must not ask for a key's passphrase or wait for the network."""
    names = [each["name"] for each in _asked(ctx, ("ls",)).get("projects", [])]
    return [name for name in names if name.startswith(incomplete)]


def _unlocked(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    names = [each["name"] for each in _asked(ctx, ("ls",)).get("projects", []) if each["state"] != "locked"]
    return [name for name in names if name.startswith(incomplete)]


def _mounted(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Needs no connection."""
    return [name for name in _state(ctx).mounts if name.startswith(incomplete)]


def _commands(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    group = ctx.find_root().command
    names = group.list_commands(ctx) if isinstance(group, click.Group) else []
    return [name for name in names if name.startswith(incomplete)]


def _state(ctx: click.Context) -> State:
    from client import options
    from client.state import config, records
    from client.state import store as stores

    ctx.obj = ctx.find_root().obj
    try:
        with ctx.scope():
            return stores.of(config.choose(options.given(None, None, None))).read()
    except EncError:
        return records.State()


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
COMMAND = click.argument("words", metavar="[COMMAND]", nargs=-1, shell_complete=_commands)
PROJECT_OR_HERE = click.argument("project", required=False, shell_complete=_unlocked)
UNLOCKED = click.argument("project", shell_complete=_unlocked)
PROJECT = click.argument("project", shell_complete=_names)
MOUNTED = click.argument("names", metavar="[PROJECT]...", nargs=-1, shell_complete=_mounted)
