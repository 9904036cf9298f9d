"""Maintenance: while the file `paths.pause` is there, nothing new begins. What it says is what people are told.

The file is root's, beside the configuration, and outlives a reboot; live sessions do not look at it.
"""

from __future__ import annotations

import os

from gateway.base import files
from gateway.errors import Paused, Usage

LONGEST = 300
"""Characters of a message."""


def message(path: str) -> str | None:
    """What the sysadmin says about the pause ("" for nothing); None when there is none. Unreadable is paused."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            said = file.read(LONGEST)
    except FileNotFoundError:
        return None
    except OSError:
        return ""
    return "".join(char if char.isprintable() else " " for char in said).strip()


def paused(said: str) -> Paused:
    """The refusal, with the sysadmin's message."""
    return Paused(f"the gateway is paused{f': {said}' if said else ''}", "try again later")


def require_running(path: str) -> None:
    """Raise Paused in a pause: for those who were let in before it and then took their time."""
    said = message(path)
    if said is not None:
        raise paused(said)


def begin(path: str, said: str) -> None:
    """Pause, at once. Raises Usage for a message that does not fit on a line."""
    if len(said) > LONGEST or not said.isprintable():
        raise Usage(f"a message is one line of at most {LONGEST} characters")
    files.replace(path, said + "\n", 0o644)


def end(path: str) -> bool:
    """Resume; whether there was a pause."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    return True
