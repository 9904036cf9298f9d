"""The entry point of watchdogs and monitors: `main(["watchdog" | "monitor", DIRECTORY, NAME])`.

The launcher starts them in a session of their own, without inherited descriptors, and with SIGHUP ignored: they have
work to do after a hang-up. SIGTERM, which a desktop sends when it logs out, counts as the end of the terminal.
"""

from __future__ import annotations

import os
import signal
import sys

from client.background import background_log, monitor, notification, watchdog
from client.mount import teardown
from client.state.store import Store


class _Terminated(Exception):
    """SIGTERM was received."""


def main(words: list[str]) -> None:
    """Never returns."""
    role, directory, name = words
    os.umask(0o077)
    for ignored in (signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP, signal.SIGPIPE):
        signal.signal(ignored, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _raise_terminated)
    try:
        {"watchdog": watchdog.run, "monitor": monitor.run}[role](directory, name)
        notification.finish()
    except _Terminated:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        background_log.note(f"{role} of {name}: SIGTERM")
        _end(Store(directory), role, name)
    except BaseException:
        background_log.note(f"{role} of {name} has failed:")  # Python adds the traceback
        raise
    sys.exit(0)


def _raise_terminated(*_: object) -> None:
    raise _Terminated


def _end(store: Store, role: str, name: str) -> None:
    if role == "watchdog":
        teardown.end_terminal(store, name)
    elif mount := store.read().mounts.get(name):
        teardown.end_mount(store, mount)
