"""Output for the caller. Results go to standard output, everything else to standard error.

Messages name commands between backticks, as they are typed at the prompt and after `ssh gateway`: `mount parser`. For a
reader who uses the client `enc`, they are written as `enc mount parser`; this module does it for all messages.
"""

from __future__ import annotations

import os

from gateway.base import json
from gateway.errors import Busy, Elsewhere, EncError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Mapping

_client = ""
_commands: Container[str] = ()


def name_commands_after(client: str, commands: Container[str]) -> None:
    """From now on, write `client` before each of `commands` in messages."""
    global _client, _commands
    _client, _commands = client, commands


def reader_uses_client() -> bool:
    """Whether `name_commands_after` was called: the client has asked, and knows what stdin is."""
    return bool(_client)


def as_typed(words: str) -> str:
    """`words` with each command between backticks as the reader types it."""
    if not _client:
        return words
    parts = words.split("`")
    for at in range(1, len(parts) - 1, 2):
        if parts[at].partition(" ")[0] in _commands:
            parts[at] = f"{_client} {parts[at]}"
    return "`".join(parts)


def result(fields: Mapping[str, object], words: str, as_json: bool) -> None:
    """Print the result of a command: `fields` as a JSON object, or `words` for people ("": print nothing)."""
    text = json.dumps(fields) if as_json else as_typed(words)
    if text:
        write(1, text + "\n")


def is_for_person() -> bool:
    """Whether a terminal shows the result: it gets times such as `5 min ago`, and a program those of RFC 3339."""
    return os.isatty(1)


def note(words: str) -> None:
    """Tell the person something that is not the result."""
    write(2, as_typed(words) + "\n")


def failure(error: EncError, as_json: bool) -> None:
    """Report an error: one line on standard error; for `as_json` also an object on standard output."""
    if as_json:
        about = {
            "error": error.slug,
            "message": as_typed(str(error)),
            "hint": as_typed(error.hint),
            "exit": error.code,
            **({"host": error.host, "address": error.address} if isinstance(error, Elsewhere) else {}),
            **({"host": error.host} if isinstance(error, Busy) and error.host else {}),
        }
        write(1, json.dumps(about) + "\n")
    write(2, f"enc: {as_typed(error.line())}\n")


def write(fd: int, text: str) -> None:
    """Write all of `text`. Does nothing once the reader or the terminal is gone."""
    data = text.encode(errors="replace")
    try:
        while data:
            data = data[os.write(fd, data) :]
    except OSError:  # EPIPE, or EIO of a terminal that hung up
        return
