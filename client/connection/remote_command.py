"""Running a gateway command on our own standard descriptors: over the existing connection, else over a new one."""

from __future__ import annotations

import sys

from client.connection import ssh
from client.state import store as stores
from client.state.config import Profile


def run(profile: Profile, words: list[str], tty: bool = False) -> int:
    """Returns the command's exit status. Raises when ssh itself fails.

    `tty`: the command asks questions, so it gets a terminal if we have one.
    """
    flag = "-t" if tty and sys.stdin.isatty() and sys.stdout.isatty() else "-T"
    store = stores.connected(profile)
    if store:
        return ssh.run_attached([*ssh.shared(store), flag, "--", "enc", *ssh.command_line(words)], profile.host)
    return ssh.run_attached([*ssh.direct(profile), flag, "--", profile.host, *ssh.command_line(words)], profile.host)
