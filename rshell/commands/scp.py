"""The remote side of `scp -O` (the old protocol; a current scp speaks SFTP)."""

from __future__ import annotations

from gateway.errors import Usage
from gateway.session.registry import Session
from rshell.context import Context
from rshell.language.command import Command
from rshell.session import transfer, warden_client

_FLAGS = frozenset(["-r", "-p", "-d", "-v", "-q"])
_DIRECTIONS = frozenset(("-t", "-f"))


def run(context: Context, command: Command) -> int:
    """Run scp in the session that has the path."""
    session, arguments = foresee(context, command)
    return warden_client.run(context, session, "scp", arguments)


def foresee(context: Context, command: Command) -> tuple[Session, tuple[str, ...]]:
    """The session, and what scp would be told. Raises Usage, and what `transfer.session_of` does."""
    flags, paths = _split(command.words[1:])
    if not set(flags) <= _FLAGS | _DIRECTIONS or len(_DIRECTIONS & set(flags)) != 1 or not paths:
        raise Usage("scp is for copying to and from here", "run it on your own machine: scp FILE gateway:PROJECT/")
    return transfer.session_of(context, paths), (*flags, "--", *paths)


def _split(words: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    count = next((at for at, word in enumerate(words) if not word.startswith("-") or word == "--"), len(words))
    rest = words[count:]
    return words[:count], rest[1:] if rest[:1] == ("--",) else rest
