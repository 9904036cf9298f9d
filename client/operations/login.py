"""Logging in: the first terminal makes the connection and opens a session on it; later ones join."""

from __future__ import annotations

from client.background import launcher
from client.connection import session
from client.mount import teardown
from client.state.config import Profile
from client.state.records import Connection, State, Terminal
from client.state.store import Store


def join(profile: Profile, store: Store, terminal: Terminal) -> tuple[Connection, bool]:
    """The connection, and whether it was made now. Records that `terminal` uses it, and starts its watchdog.

    First cleans up what a crash left. Raises what prevents connecting.
    """
    with store.lock("login"):
        teardown.clean_up(store)
        connection = store.read().connection
        made = connection is None
        if connection is None:
            connection = session.open_session(profile, store)
        _record(store, terminal._replace(typing_counts=profile.typing_counts), connection)
    return connection, made


def _record(store: Store, terminal: Terminal, connection: Connection) -> None:
    def recorded(now: State) -> State:
        known = now.terminals.get(terminal.id)
        return now._replace(connection=connection).with_terminal(known or terminal)

    store.change(recorded)
    launcher.start_watchdog(store, terminal.id)
