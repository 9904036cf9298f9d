"""Shell completion: project names as the gateway lists them over a connection that is already open, what is mounted
here, and commands.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import click

from client.errors import EncError
from client.system import names

_SECONDS = 3.0
_ALL: Mapping[str, tuple[str, ...]] = {}


def _names(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Never connects: the Tab key must not ask for a key's passphrase or wait for the network."""
    return _asked(ctx, ("ls",), "projects", "name", incomplete)


def _own(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    return [name for name in _asked(ctx, ("ls",), "projects", "name", incomplete) if names.is_own(name)]


def _shared(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    return [name for name in _asked(ctx, ("ls",), "projects", "name", incomplete) if names.is_shared(name)]


def _invited(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    return _asked(ctx, ("ls",), "projects", "name", incomplete, {"state": ("invited",)})


def _members(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    project = str(ctx.params.get("project"))
    beside_owner = {"role": ("writer", "reader")}
    return _asked(ctx, ("share", project), "members", "member", incomplete, beside_owner, names.is_principal)


def _unlocked(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    return _asked(ctx, ("ls",), "projects", "name", incomplete, {"state": ("unlocked",)})


def _mounted(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Needs no connection."""
    return [name for name in _mounts(ctx) if name.startswith(incomplete)]


def _commands(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    group = ctx.find_root().command
    known = group.list_commands(ctx) if isinstance(group, click.Group) else []
    return [name for name in known if name.startswith(incomplete)]


def _mounts(ctx: click.Context) -> list[str]:
    from client import options
    from client.state import config, hosts
    from client.state import store as stores

    ctx.obj = ctx.find_root().obj
    try:
        with ctx.scope():
            profile = config.choose(options.given(None, None, None))
            return [name for each in hosts.all_of(profile) for name in stores.of(each).read().mounts]
    except EncError:
        return []


def _asked(
    ctx: click.Context,
    words: tuple[str, ...],
    listed: str,
    field: str,
    incomplete: str,
    only: Mapping[str, tuple[str, ...]] = _ALL,
    is_word: Callable[[object], bool] = names.is_project,
) -> list[str]:
    """What begins with `incomplete` of a list in the gateway's answer over a connection that is open, of those that
    have one of the values of `only` in each of its fields.

    The shell puts it on the command line as it is: what a false gateway names a thing must be none of its words.
    """
    from client import options  # what follows is not needed to run a command
    from client.connection import request
    from client.state import config, hosts
    from client.state import store as stores

    ctx.obj = ctx.find_root().obj
    try:
        with ctx.scope():
            store = stores.connected(hosts.connected(config.choose(options.given(None, None, None))))
        answer = request.send(store, *words, seconds=_SECONDS)[listed] if store else []
        known = dict.fromkeys(each[field] for each in answer if all(each[key] in only[key] for key in only))
    except (EncError, LookupError, TypeError, AttributeError):
        return []
    return [name for name in known if is_word(name) and name.startswith(incomplete)]


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
PLACE = click.argument("place", metavar="PROJECT[:PATH]", shell_complete=_names)
PLACES = click.argument("places", metavar="PROJECT:FROM... PROJECT:TO", nargs=-1, required=True, shell_complete=_names)
OWN_PROJECT = click.argument("project", shell_complete=_own)
SHARED = click.argument("project", shell_complete=_shared)
INVITED = click.argument("project", shell_complete=_invited)
MEMBER = click.argument("who", shell_complete=_members)
MOUNTED = click.argument("names", metavar="[PROJECT]...", nargs=-1, shell_complete=_mounted)
