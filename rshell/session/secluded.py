"""The words that rsync's client sends on standard input with `-s`: each ends with a NUL, and an empty one ends them.

They are read byte by byte, because what follows them is for rsync itself.
"""

from __future__ import annotations

import os
import select

from gateway.errors import Usage
from rshell.language.grammar import MAX_DATA_LINE, Pattern

_SECONDS = 60
"""Without a byte."""


def read() -> bytes:
    """All of them, without the last NUL. Raises Usage when there are none, or too many, or none come."""
    waiting = select.poll()
    waiting.register(0, select.POLLIN)
    found = bytearray()
    while not found.endswith(b"\0\0"):
        byte = os.read(0, 1) if waiting.poll(_SECONDS * 1000) else b""
        if not byte:
            raise Usage("rsync -s sent no words", "run it on your own machine: rsync -s -a DIR/ gateway:PROJECT/")
        found += byte
        if len(found) > MAX_DATA_LINE:
            raise Usage("rsync -s sent too many words", "name a directory, or use --files-from")
    return bytes(found[:-2])


def words(sent: bytes) -> tuple[str, ...]:
    """What was sent, as words of a line: one with wildcards that no backslash precedes is a Pattern."""
    return tuple(_word(os.fsdecode(one)) for one in sent.split(b"\0"))


def _word(text: str) -> str:
    """As rsync's own server reads it: a backslash makes a wildcard literal, and is itself otherwise."""
    plain, pattern, has_wildcard, at = "", "", False, 0
    while at < len(text):
        char, next_ = text[at], text[at + 1 : at + 2]
        if char == "\\" and next_ and next_ in "*?[]\\":
            plain += next_
            pattern += f"[{next_}]" if next_ in "*?[" else next_
            at += 2
            continue
        has_wildcard = has_wildcard or char in "*?["
        plain += char
        pattern += char
        at += 1
    return Pattern.of(plain, pattern) if has_wildcard else plain
