"""The remote side of rsync."""

from __future__ import annotations

from gateway.errors import Usage
from rshell import link, transfer
from rshell.command import Command
from rshell.context import Context

_FOREIGN = ("--daemon", "--config", "--dparam", "--rsh", "--log-file", "--password-file", "--early-input", "-M")
"""Options that no client sends, each a way to something else than a transfer."""


def run(context: Context, command: Command) -> int:
    """Run rsync in the session that has the paths."""
    words = command.words[1:]
    options = words[: words.index(".")] if "." in words else words
    paths = words[len(options) + 1 :]
    foreign = any(option.startswith(_FOREIGN) or option == "-e" for option in options)
    if words[:1] != ("--server",) or foreign or not paths:
        raise Usage(
            "rsync is for copying to and from here", "run it on your own machine: rsync -a DIR/ gateway:PROJECT/"
        )
    session = transfer.session_of(context, paths)
    return link.run(context, session, "rsync", (*options, ".", *paths))
