"""The gateway's side of scp's own protocol: `scp -O` (OpenSSH 9 uses SFTP by default), curl's scp://, libssh2."""

from __future__ import annotations

from gateway.errors import Usage
from gateway.session.registry import Session
from rshell.context import Context
from rshell.language.command import Command
from rshell.session import execution, transfer
from rshell.session.transfer import Paths

_LETTERS = frozenset("rpdvqtf")
_DIRECTIONS = frozenset("tf")


def run(context: Context, command: Command) -> int:
    """Run scp in the session that has the path."""
    session, letters, paths = check(context, command)
    return execution.transfer(context, session, "scp", (*(f"-{letter}" for letter in letters), "--"), paths)


def check(context: Context, command: Command) -> tuple[Session, str, Paths]:
    """The session that has the paths, scp's options (letters), and the paths. Raises Usage, and as
    `transfer.session_of`.
    """
    letters, words = _split(command.words[1:])
    if letters is None or len(_DIRECTIONS & set(letters)) != 1 or not words:
        raise Usage("scp is started by the scp of your own machine", "run there: scp FILE gateway:PROJECT/")
    paths = transfer.paths_of(words)
    if "t" in letters:
        transfer.require_projects(context, paths.words)
    return transfer.session_of(context, paths.words, writes="t" in letters), letters, paths


def _split(words: tuple[str, ...]) -> tuple[str | None, tuple[str, ...]]:
    """The letters of the options as getopt(3) reads them, alone or joined (None: one that no client sends), and the
    paths: they begin at the first word that is no option, or behind `--`.
    """
    letters = ""
    for at, word in enumerate(words):
        if word == "--":
            return letters, words[at + 1 :]
        if not word.startswith("-") or word == "-":
            return letters, words[at:]
        if not _LETTERS.issuperset(word[1:]):
            return None, ()
        letters += word[1:]
    return letters, ()
