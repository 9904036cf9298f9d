"""Text that a terminal only shows."""

from __future__ import annotations


def printable(text: str) -> str:
    """`text` with "?" for each control character except newline.

    Some of it comes from the gateway, and a false gateway must not send escape sequences to the terminal.
    """
    return "".join(char if char.isprintable() or char == "\n" else "?" for char in text)


def in_one_line(text: str) -> str:
    """`printable`, and no line of its own for a part of it."""
    return printable(text).replace("\n", "?")
