"""`enc logout`."""

from __future__ import annotations

import click

from client import options
from client.connection import session
from client.errors import NotMounted
from client.mount import teardown
from client.state.config import Profile


@click.command("logout")
@click.option("--all", "everything", is_flag=True, help="What belongs to other terminals, and to none, too.")
@options.gateway
def command(profile: Profile, everything: bool, as_json: bool) -> None:
    """Unmount and lock what belongs to this terminal; the last terminal to go closes the connection.

    Programs that use a mount lose it: write what you want to keep first.
    """
    store = profile.store()
    state = store.read()
    here = session.this_terminal().id
    leaving = [id_ for id_ in state.terminals if everything or id_ == here]
    if not leaving and not (everything and state.connection):
        others = len(state.terminals)
        hint = f"`enc logout --all` ends what {others} other terminals have" if others else ""
        raise NotMounted(f"this terminal has no login to {profile.name}", hint)
    mounts = [mount.project for id_ in leaving for mount in state.mounts_of(id_)]
    for id_ in leaving:
        teardown.end_terminal(store, id_, teardown.WHEN_ASKED)
    if everything:
        teardown.end_connection(store)
    after = store.read()
    closed = after.connection is None
    words = f"logged out of {profile.name}" + ("" if closed else f"; {len(after.terminals)} other terminals stay")
    options.say({"gateway": profile.name, "unmounted": mounts, "closed": closed}, words, as_json)
