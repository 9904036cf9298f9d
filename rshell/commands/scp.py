"""The gateway's side of `scp -O` (the old protocol; OpenSSH 9 uses SFTP by default)."""

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
    session, arguments = check(context, command)
    return warden_client.run(context, session, "scp", arguments)


def check(context: Context, command: Command) -> tuple[Session, tuple[str, ...]]:
    """The session that has the paths, and the arguments for scp. Raises Usage, and as `transfer.session_of`."""
    flags, paths = _split(command.words[1:])
    if not set(flags) <= _FLAGS | _DIRECTIONS or len(_DIRECTIONS & set(flags)) != 1 or not paths:
        raise Usage("scp is started by the scp of your own machine", "run there: scp FILE gateway:PROJECT/")
    return transfer.session_of(context, paths), (*flags, "--", *paths)


def _split(words: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    count = next((at for at, word in enumerate(words) if not word.startswith("-") or word == "--"), len(words))
    rest = words[count:]
    return words[:count], rest[1:] if rest[:1] == ("--",) else rest
