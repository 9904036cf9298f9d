"""The shipped files for sshd_config.d. 50-enc.conf gets the values of this installation; 40-enc-transport.conf, which
concerns every login, is used as it is.
"""

from __future__ import annotations

import os
import sys

from gateway.base import interpreter
from gateway.errors import Misconfigured

NAME = "sshd_config.d/50-enc.conf"
TRANSPORT = "sshd_config.d/40-enc-transport.conf"


def shipped(name: str = NAME) -> str:
    """The text of a shipped file. Raises Misconfigured."""
    for base in (os.path.join(sys.prefix, "share/enc"), interpreter.code_root()):
        try:
            with open(os.path.join(base, name), encoding="utf-8") as file:
                return file.read()
        except FileNotFoundError:
            continue
    raise Misconfigured(f"{name} is missing from this installation", "reinstall ENC")


def overridden(values: dict[str, str]) -> str:
    """The shipped text with new values for some keywords. Raises Misconfigured unless each occurs exactly once."""
    lines = shipped().splitlines()
    for keyword, value in values.items():
        at = [number for number, line in enumerate(lines) if line.split()[:1] == [keyword]]
        if len(at) != 1:
            raise Misconfigured(f"{NAME} has {keyword} {len(at)} times, expected once", "reinstall ENC")
        indent = lines[at[0]][: len(lines[at[0]]) - len(lines[at[0]].lstrip())]
        lines[at[0]] = f"{indent}{keyword} {value}"
    return "\n".join(lines) + "\n"


def force_command(words: list[str]) -> str:
    """The shipped ForceCommand, with `words` as the command that it executes."""
    before, exec_, _ = settings(shipped())["forcecommand"].partition("exec ")
    return before + exec_ + " ".join(words)


def settings(text: str) -> dict[str, str]:
    """The settings in `text`, except the Match line. Keywords are in lower case, as `sshd -T` prints them."""
    words = (line.split(None, 1) for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#"))
    return {keyword.lower(): value.strip() for keyword, value in words if keyword != "Match"}
