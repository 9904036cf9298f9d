"""What enc prints: the result on standard output, everything else on standard error."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import click


def result(fields: dict[str, Any], text: str, as_json: bool) -> None:
    """Print the result: `fields` as a JSON object for programs, or `text` for people."""
    click.echo(json.dumps(fields) if as_json else printable(text))


def note(text: str) -> None:
    """Print something that is not the result."""
    click.echo(printable(text), err=True)


def is_interactive() -> bool:
    """Whether enc can ask the user questions."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def bold(text: str) -> str:
    """`text` in bold on a terminal; unchanged elsewhere, or with NO_COLOR."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not sys.stdout.isatty()
    return text if plain else click.style(text, bold=True)


def printable(text: str) -> str:
    """`text` with "?" for each control character except newline.

    Some of it comes from the gateway, and a false gateway must not send escape sequences to the terminal.
    """
    return "".join(char if char.isprintable() or char == "\n" else "?" for char in text)


def recovery_code(answer: dict[str, Any]) -> str:
    """The words for the recovery code in the gateway's answer; "" when it has none."""
    if "code" not in answer:
        return ""
    keep = "Write it down and keep it away from your machine. Whoever has it and can log in as you opens the project."
    return f"\nThe recovery code, which is shown once:\n\n    {answer['code']}\n\n{keep}"
