"""Having a project unlocked for the length of one command, without a mount."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import NamedTuple

from client.connection import request, session
from client.errors import EncError
from client.mount import teardown
from client.operations import login, projects
from client.state import store as stores
from client.state import terminal as terminals
from client.state.config import Profile
from client.state.records import Connection
from client.state.store import Store


class Held(NamedTuple):
    """`store` has the connection by which the project is unlocked. `read_only`: the user may only read it. `note` is
    what they should know of how it was unlocked, "" for nothing.
    """

    store: Store
    read_only: bool = False
    note: str = ""


@contextlib.contextmanager
def unlocked(profile: Profile, project: str, secret: bytes | None = None) -> Iterator[Held]:
    """Unlock the project for the length of the block, and lock it, unless it was unlocked here before, or is mounted
    meanwhile.

    `secret` unlocks it; None: a key of the user, or the passphrase, which is asked for. Raises what prevents it.
    """
    store, terminal = stores.of(profile), terminals.this_process()
    connection: Connection | None = None
    was_held = True
    try:
        connection, _ = login.join(profile, store, terminal)
        was_held = projects.is_held_here(store, connection, project)
        held = Held(store)
        if secret is None:
            opened = projects.unlock(profile, store, connection, project)
            held = Held(store, opened.read_only, opened.by.note if opened.by else "")
        elif not was_held:
            request.send(store, "mount", project, secret=secret)
        yield held
    finally:
        if connection and not was_held:
            _lock_own(store, connection, project)
        teardown.end_terminal(store, terminal.id)


def _lock_own(store: Store, connection: Connection, project: str) -> None:
    """Lock the project if our connection has unlocked it and nobody has mounted it meanwhile. The gateway is asked: an
    attempt that it refused unlocked nothing, and to lock is to lock it for another machine that has it.
    """
    with contextlib.suppress(EncError):  # a gateway that does not answer locks when the connection ends
        if project not in store.read().mounts and projects.is_held_here(store, connection, project):
            session.lock(store, project)
