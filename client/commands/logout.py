"""`enc logout`."""

from __future__ import annotations

import click

from client import options, output
from client.connection import session
from client.errors import NotMounted
from client.mount import teardown
from client.state import hosts
from client.state import store as stores
from client.state import terminal as terminals
from client.state.config import Profile
from client.state.records import DETACHED, State


def _others(state: State) -> str:
    """Who still uses the connection."""
    count = len([id_ for id_ in state.terminals if id_ != DETACHED])
    detached = [mount.project for mount in state.mounts_of(DETACHED)]
    users = [f"{count} other terminal{'s' if count > 1 else ''}"] if count else []
    users += [f"{', '.join(detached)}, detached"] if detached else []
    return " and ".join(users)


def _has_part(state: State, terminal: str, everything: bool) -> bool:
    """Whether there is something to end for the terminal, or for all."""
    return terminal in state.terminals or (everything and bool(state.terminals or state.connection))


@click.command("logout")
@click.option("--all", "everything", is_flag=True, help="Also end other terminals' sessions and detached mounts.")
@options.gateway
def command(profile: Profile, everything: bool, as_json: bool) -> None:
    """Unmount and lock this terminal's projects, and log out. The last terminal that logs out closes the connection.

    Programs that use a mount lose it: save first what you want to keep.
    """
    here = terminals.calling().id
    known = [stores.of(each) for each in hosts.all_of(profile)]
    chosen = [store for store in known if _has_part(store.read(), here, everything)]
    if not chosen:
        others = any(store.read().terminals for store in known)
        hint = "`enc logout --all` logs out all terminals" if others else ""
        raise NotMounted(f"this terminal is not logged in to {profile.name}", hint)
    mounts: list[str] = []
    for store in chosen:
        state = store.read()
        leaving = [id_ for id_ in state.terminals if everything or id_ == here]
        mounts += [mount.project for id_ in leaving for mount in state.mounts_of(id_)]
        for id_ in leaving:
            teardown.end_terminal(store, id_, teardown.ON_REQUEST)
        if everything:
            session.close(store)
    left = [store.read() for store in chosen if store.read().connection]
    closed = not left
    stays = "" if closed else f"; the connection stays open for {' and '.join(map(_others, left))}"
    fields = {"gateway": profile.name, "unmounted": mounts, "closed": closed}
    output.result(fields, f"logged out of {profile.name}{stays}", as_json)
