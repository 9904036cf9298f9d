"""The remote side of rsync.

rsync can be made to run programs (`--daemon` with a configuration file of the caller's) and to read options that we
never see (`-s`), so what it may be told is listed here: the options that a client's rsync sends to a server
(rsync's options.c, server_options), as it spells them. What follows the "." is paths, whatever it looks like.
"""

from __future__ import annotations

from gateway.errors import Usage
from gateway.session.registry import Session
from rshell.context import Context
from rshell.language.command import Command
from rshell.session import transfer, warden_client

_LETTERS = frozenset("ACDEHIJKLNORSUWXbcdgklmnopqrtuvxyz")
_CAPABILITIES = frozenset("." + "0123456789" + "abcdefghijklmnopqrstuvwxyz" + "ABCDEFGHIJKLMNOPQRSTUVWXYZ")

_PLAIN = frozenset(
    (
        *("append", "copy-unsafe-links", "delay-updates", "delete", "delete-after", "delete-before", "delete-delay"),
        *(
            "delete-during",
            "delete-excluded",
            "delete-missing-args",
            "dirs",
            "existing",
            "fake-super",
            "force",
            "from0",
        ),
        *("fsync", "fuzzy", "group", "hard-links", "ignore-errors", "ignore-existing", "ignore-missing-args"),
        *("ignore-times", "inplace", "links", "list-only", "mkpath", "msgs2stderr", "munge-links", "new-compress"),
        *("no-W", "no-implied-dirs", "no-msgs2stderr", "no-r", "no-relative", "no-specials", "numeric-ids"),
        *("old-compress", "one-file-system", "open-noatime", "owner", "partial", "perms", "preallocate", "recursive"),
        *("remove-sent-files", "remove-source-files", "safe-links", "sender", "size-only", "specials", "stats"),
        *("super", "times", "use-qsort"),
    )
)
_JOINED = frozenset(
    (
        *("block-size", "bwlimit", "checksum-choice", "checksum-seed", "compress-choice", "compress-level"),
        *("compress-threads", "debug", "groupmap", "iconv", "info", "log-format", "max-alloc", "max-delete"),
        *("max-size", "min-size", "modify-window", "only-write-batch", "skip-compress", "stderr", "suffix"),
        *("timeout", "usermap"),
    )
)
_PATHS = frozenset(("backup-dir", "compare-dest", "copy-dest", "files-from", "link-dest", "partial-dir", "temp-dir"))
"""Take a value, joined by `=` or as the next word. The program's sandbox is what confines them."""


def run(context: Context, command: Command) -> int:
    """Run rsync in the session that has the paths."""
    session, arguments = foresee(context, command)
    return warden_client.run(context, session, "rsync", arguments)


def foresee(context: Context, command: Command) -> tuple[Session, tuple[str, ...]]:
    """The session, and what rsync would be told. Raises Usage, and what `transfer.session_of` does."""
    words = command.words[1:]
    count = _options(words)
    paths = words[count + 1 :]
    if words[:1] != ("--server",) or words[count : count + 1] != (".",) or not paths:
        raise Usage(
            "rsync is for copying to and from here", "run it on your own machine: rsync -a DIR/ gateway:PROJECT/"
        )
    return transfer.session_of(context, paths), (*words[:count], "--", ".", *paths)


def _options(words: tuple[str, ...]) -> int:
    """How many words, from the second on, are options that a client sends, each with its value."""
    at = 1
    while at < len(words):
        name, joined, _ = words[at].removeprefix("--").partition("=")
        if not words[at].startswith("--"):
            accepted, width = _is_cluster(words[at]), 1
        elif joined:
            accepted, width = name in _JOINED | _PATHS, 1
        else:
            accepted, width = name in _PLAIN | _PATHS, 2 if name in _PATHS else 1
        if not accepted:
            break
        at += width
    return at


def _is_cluster(word: str) -> bool:
    """Short options as a client sends them: letters without a value, then at most one that has one.

    That is `e` with the client's capabilities (to a server it names no shell), `B` or `@` with a number.
    """
    letters = word[1:].lstrip("".join(_LETTERS))
    if not word.startswith("-") or word == "-":
        return False
    kind, value = letters[:1], letters[1:]
    if kind == "e":
        return value[:1] in frozenset(".0123456789") and _CAPABILITIES.issuperset(value)
    return not letters or (kind in ("B", "@") and value.isascii() and value.isdecimal())
