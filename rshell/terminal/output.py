"""Output for the caller. Results go to standard output, everything else to standard error."""

from __future__ import annotations

import os

from gateway.base import json
from gateway.errors import EncError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def result(fields: Mapping[str, object], words: str, as_json: bool) -> None:
    """Print the result of a command: `fields` as a JSON object, or `words` for people ("": print nothing)."""
    text = json.dumps(fields) if as_json else words
    if text:
        write(1, text + "\n")


def note(words: str) -> None:
    """Tell the person something that is not the result."""
    write(2, words + "\n")


def failure(error: EncError, as_json: bool) -> None:
    """Report an error: one line on standard error; for `as_json` also an object on standard output."""
    if as_json:
        about = {"error": error.slug, "message": str(error), "hint": error.hint, "exit": error.code}
        write(1, json.dumps(about) + "\n")
    write(2, f"enc: {error.line()}\n")


def write(fd: int, text: str) -> None:
    """Write all of `text`. Does nothing once the reader or the terminal is gone."""
    data = text.encode(errors="replace")
    try:
        while data:
            data = data[os.write(fd, data) :]
    except OSError:  # EPIPE, or EIO of a terminal that hung up
        return
