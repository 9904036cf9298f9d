"""Telling the user something from the background: on the terminal, and as a desktop notification."""

from __future__ import annotations

import os

from client.background import background_log
from client.state.records import Terminal
from client.system import processes


def send(terminal: Terminal | None, message: str) -> None:
    """Show `message` on the terminal, if it still exists, and on the desktop, if there is one. Never waits or fails.

    It also goes to the log.
    """
    background_log.note(message)
    if terminal and terminal.tty and processes.is_alive(terminal.followed[-1]):  # else another login may have the tty
        _write(terminal.tty, f"\r\nenc: {message}\r\n")
    if any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")):
        processes.run_quietly(["notify-send", "--app-name=enc", "--", "enc", message], 1.0)


def _write(tty: str, text: str) -> None:
    try:
        fd = os.open(tty, os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return
    try:
        os.write(fd, text.encode(errors="replace"))
    except OSError:
        return
    finally:
        os.close(fd)
