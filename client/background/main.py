"""What runs in the background: `background.main(["watchdog" | "monitor", DIRECTORY, NAME])`.

Started by processes.start_background, in a session of its own and with no descriptor of anybody. A hang-up does not
end it (that signal is ignored before it starts): it is there for what comes after that. SIGTERM, which a desktop sends
as it logs out, is an end of the terminal.
"""

from __future__ import annotations

import os
import signal
import sys

from client.background import monitor, watchdog
from client.mount import teardown
from client.state.store import Store


class _Told(Exception):
    """SIGTERM came."""


def main(words: list[str]) -> None:
    """Never returns."""
    role, directory, name = words
    os.umask(0o077)
    for ignored in (signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP, signal.SIGPIPE):
        signal.signal(ignored, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _told)
    try:
        {"watchdog": watchdog.run, "monitor": monitor.run}[role](directory, name)
    except _Told:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        _end(Store(directory), role, name)
    sys.exit(0)


def _told(*_: object) -> None:
    raise _Told


def _end(store: Store, role: str, name: str) -> None:
    if role == "watchdog":
        teardown.end_terminal(store, name)
    elif mount := store.read().mounts.get(name):
        teardown.end_mount(store, mount)
