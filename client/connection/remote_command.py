"""Running a gateway command: on our own standard descriptors, or for what it complains of."""

from __future__ import annotations

import subprocess
import sys

from client.connection import ssh
from client.state import store as stores
from client.state.config import Profile
from client.state.store import Store
from client.system import children


def run(profile: Profile, words: list[str], tty: bool = False) -> int:
    """Over the existing connection, else over a new one. Returns the command's exit status. Raises when ssh itself
    fails.

    `tty`: the command asks questions, so it gets a terminal if we have one.
    """
    flag = "-t" if tty and sys.stdin.isatty() and sys.stdout.isatty() else "-T"
    store = stores.connected(profile)
    if store:
        return ssh.run_attached([*ssh.shared(store), flag, "--", "enc", *ssh.command_line(words)], profile.host)
    return ssh.run_attached([*ssh.direct(profile), flag, "--", profile.host, *ssh.command_line(words)], profile.host)


def run_silently(store: Store, words: list[str]) -> tuple[int, str]:
    """The exit status of the command over the existing connection, and what it and ssh complain of."""
    argv = [*ssh.shared(store), "-T", "--", "enc", *ssh.command_line(words)]
    return children.complaints(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
