"""`enc login`."""

from __future__ import annotations

import click

from client import options, output
from client.operations import login
from client.state import store as stores
from client.state import terminal as terminals
from client.state.config import Profile


@click.command("login")
@options.gateway
def command(profile: Profile, as_json: bool) -> None:
    """Connect to the gateway, and open a session on the connection.

    The login belongs to this terminal: when its shell, or the script that called enc, ends, enc unmounts and locks
    everything. Other terminals join the connection. The last terminal that logs out closes it.
    """
    terminal = terminals.calling()
    connection, made = login.join(profile, stores.of(profile), terminal)
    fields = {"gateway": profile.name, "session": connection.session, "joined": not made, "pid": connection.master.pid}
    how = "logged in to" if made else "joined the connection to"
    until = terminals.lifetime(terminal)
    output.result(fields, f"{how} {profile.name} (session {connection.session}) {until}", as_json)
