"""`enc login`."""

from __future__ import annotations

import click

from client import options
from client.connection import session
from client.state.config import Profile


@click.command("login")
@options.gateway
def command(profile: Profile, as_json: bool) -> None:
    """Connect, and open a session on the connection.

    It lasts as long as this terminal: when its shell ends, or a script that called this, everything is unmounted and
    locked. Other terminals join the connection; the last one to go closes it.
    """
    terminal = session.this_terminal()
    connection, made = session.join(profile, profile.store(), terminal)
    fields = {"gateway": profile.name, "session": connection.session, "joined": not made, "pid": connection.master.pid}
    how = "logged in to" if made else "joined the connection to"
    options.say(fields, f"{how} {profile.name} (session {connection.session}), {session.describe(terminal)}", as_json)
