"""Telling the user something from the background: on the terminal, and as a desktop notification.

While a program such as an editor draws on the whole screen, nothing is written into it: there is a bell, the title of
the window says it where the terminal has one, and the message follows when the program has ended.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import NamedTuple

from client.background import background_log
from client.state.records import Terminal
from client.system import linux, processes, terminal_text

_SHELLS = ("bash", "zsh", "fish", "dash", "sh", "ksh", "mksh", "ash", "tcsh", "csh")
_WITH_TITLE = ("xterm", "rxvt", "alacritty", "foot", "kitty", "konsole", "gnome", "vte", "wezterm", "ghostty")
"""How TERM begins for terminals that have a title. `22;0t` and `23;0t` (xterm's ctlseqs) save and restore it."""
_PATIENCE = 1.0
"""Seconds between two looks at whether the screen is free."""


class _Waiting(NamedTuple):
    """A message that waits for the screen; it is dropped if it is not true any more when the screen is free."""

    terminal: Terminal
    message: str
    is_true: Callable[[], bool]


_waiting: list[_Waiting] = []


def _always() -> bool:
    return True


def send(terminal: Terminal | None, message: str, is_true: Callable[[], bool] = _always) -> None:
    """Show `message` on the terminal, if it still exists, and on the desktop, if there is one. Never waits or fails.

    It also goes to the log. A part of it may be the gateway's: it is made harmless for the terminal. When it had to
    wait for the screen, `is_true` is asked whether it has still to be shown.
    """
    message = terminal_text.in_one_line(message)
    background_log.note(message)
    if terminal and _is_there(terminal):
        if _is_full_screen(terminal):
            _alert(terminal, message)
            _waiting.append(_Waiting(terminal, message, is_true))
        else:
            _write(terminal.tty, f"\r\nenc: {message}\r\n")
    if any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")):
        processes.run_quietly(["notify-send", "--app-name=enc", "--", "enc", message], 1.0)


def deliver() -> None:
    """Show the messages that waited for the screen and need not any more."""
    for one in list(_waiting):
        if not _is_there(one.terminal):
            _waiting.remove(one)
        elif not _is_full_screen(one.terminal):
            _waiting.remove(one)
            title = "\x1b[23;0t" if _has_title() else ""
            _write(one.terminal.tty, title + (f"\r\nenc: {one.message}\r\n" if one.is_true() else ""))


def finish() -> None:
    """Wait until all messages are shown, or their terminals have ended. For a process that has nothing else to do."""
    if _waiting:
        os.closerange(3, 1024)  # the dead man's switch, which counts processes that watch
    while _waiting:
        deliver()
        time.sleep(_PATIENCE)


def _is_there(terminal: Terminal) -> bool:
    """Whether the terminal is still its user's: another login may have it."""
    return bool(terminal.tty) and processes.is_alive(terminal.followed[-1])


def _is_full_screen(terminal: Terminal) -> bool:
    """Whether a program that is no shell reads single keys from the terminal, as editors and pagers do."""
    foreground = linux.foreground_group(terminal.followed[-1].pid)
    if not foreground or linux.program_name(foreground) in _SHELLS:
        return False
    return not linux.is_canonical(terminal.tty)


def _has_title() -> bool:
    return os.environ.get("TERM", "").startswith(_WITH_TITLE)


def _alert(terminal: Terminal, message: str) -> None:
    _write(terminal.tty, f"\x1b[22;0t\x1b]0;enc: {message}\a\a" if _has_title() else "\a")


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
