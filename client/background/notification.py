"""Telling the user something from the background: on the terminal, and on the desktop where there is one."""

from __future__ import annotations

import os

from client.state.store import Terminal
from client.system import processes


def tell(terminal: Terminal | None, words: str) -> None:
    """Say `words` once, wherever somebody may see them. Never waits, and never fails."""
    if terminal and terminal.tty and processes.alive(terminal.followed[-1]):  # else the tty may be another's by now
        _write(terminal.tty, f"\r\nenc: {words}\r\n")
    if any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")):
        processes.attempt(["notify-send", "--app-name=enc", "--", "enc", words], 1.0)


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
