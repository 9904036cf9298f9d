"""A command of the gateway, on our own standard descriptors: over the connection when there is one, else a new one."""

from __future__ import annotations

import sys

from client.connection import ssh
from client.errors import Missing
from client.state.config import Profile
from client.state.store import Store
from client.system import processes


def pass_on(profile: Profile, words: list[str], tty: bool = False) -> int:
    """Run it; its exit status. `tty`: it asks something, and gets a terminal when we have one."""
    flag = "-t" if tty and sys.stdin.isatty() and sys.stdout.isatty() else "-T"
    store = connected(profile)
    if store:
        return ssh.pass_on([*ssh.shared(store), flag, "--", "enc", *ssh.line(words)], profile.host)
    return ssh.pass_on([*ssh.direct(profile), flag, "--", profile.host, *ssh.line(words)], profile.host)


def connected(profile: Profile) -> Store | None:
    """The gateway's store, when there is a connection to use."""
    try:
        store = profile.store()
    except Missing:  # nothing could be mounted, but asking needs no state
        return None
    connection = store.read().connection
    return store if connection and processes.alive(connection.master) else None
