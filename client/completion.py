"""Shell completion: project names as the gateway lists them over a connection that is already open, what is mounted
here, and commands.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from client.errors import EncError
from client.system import names

if TYPE_CHECKING:
    from client.state.records import State

_SECONDS = 3.0
_ALL: Mapping[str, str] = {}


def _names(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Never connects: the Tab key must not ask for a key's passphrase or wait for the network."""
    return _asked(ctx, ("ls",), "projects", "name", incomplete)


def _unlocked(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    return _asked(ctx, ("ls",), "projects", "name", incomplete, {"state": "unlocked"})


def _mounted(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Needs no connection."""
    return [name for name in _state(ctx).mounts if name.startswith(incomplete)]


def _commands(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    group = ctx.find_root().command
    known = group.list_commands(ctx) if isinstance(group, click.Group) else []
    return [name for name in known if name.startswith(incomplete)]


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


def _asked(
    ctx: click.Context, words: tuple[str, ...], listed: str, field: str, incomplete: str, only: Mapping[str, str] = _ALL
) -> list[str]:
    """What begins with `incomplete` of a list in the gateway's answer over a connection that is open, of those that
    have the fields `only`.

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
        known = dict.fromkeys(each[field] for each in answer if only.items() <= each.items())
    except (EncError, LookupError, TypeError, AttributeError):
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
COMMAND = click.argument("words", metavar="[COMMAND]", nargs=-1, shell_complete=_commands)
PROJECT_OR_HERE = click.argument("project", required=False, shell_complete=_unlocked)
UNLOCKED = click.argument("project", shell_complete=_unlocked)
PROJECT = click.argument("project", shell_complete=_names)
MOUNTED = click.argument("names", metavar="[PROJECT]...", nargs=-1, shell_complete=_mounted)
