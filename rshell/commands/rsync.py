"""The gateway's side of rsync.

rsync can be made to run programs (`--daemon` with a configuration file of the caller's). So this module lists what is
accepted: the options that a client's rsync sends to a server (rsync's options.c, server_options), as it spells them.
Everything after the "." is a path, whatever it looks like.

With `-s` (`--protect-args`, `--secluded-args`) the client sends its words on standard input. We read them before rsync
does, and judge and pass them like those of a line (rshell.session.secluded).
"""

from __future__ import annotations

from gateway.errors import Usage
from gateway.session.registry import Session
from rshell.context import Context
from rshell.language.command import Command
from rshell.session import execution, transfer
from rshell.session.transfer import Paths

_LETTERS = frozenset("ACDEHIJKLNORSUWXbcdgklmnopqrtuvxyz")
_CAPABILITIES = frozenset("." + "0123456789" + "abcdefghijklmnopqrstuvwxyz" + "ABCDEFGHIJKLMNOPQRSTUVWXYZ")

_OPTIONS = """
    append copy-unsafe-links delay-updates delete delete-after delete-before delete-delay delete-during
    delete-excluded delete-missing-args dirs existing fake-super force from0 fsync fuzzy group hard-links
    ignore-errors ignore-existing ignore-missing-args ignore-times inplace links list-only mkpath msgs2stderr
    munge-links new-compress no-W no-implied-dirs no-msgs2stderr no-r no-relative no-specials numeric-ids old-compress
    one-file-system open-noatime owner partial perms preallocate recursive remove-sent-files remove-source-files
    safe-links sender size-only specials stats super times use-qsort
"""
_OPTIONS_WITH_VALUE = """
    block-size bwlimit checksum-choice checksum-seed compress-choice compress-level compress-threads debug groupmap
    iconv info log-format max-alloc max-delete max-size min-size modify-window only-write-batch skip-compress stderr
    suffix timeout usermap
"""
_WITHOUT_VALUE = frozenset(_OPTIONS.split())
_WITH_VALUE = frozenset(_OPTIONS_WITH_VALUE.split())
"""The value is joined by `=`."""

_WITH_PATH = frozenset(
    ("backup-dir", "compare-dest", "copy-dest", "files-from", "link-dest", "partial-dir", "temp-dir")
)
"""The value is joined by `=`, or is the next word. It is not checked: rsync's sandbox confines it."""

_SECLUDED, _SENDER = "s", "--sender"


def run(context: Context, command: Command) -> int:
    """Run rsync in the session that has the paths."""
    words = command.words[1:]
    if is_secluded(words):
        from rshell.session import secluded

        words = (*words[:-1], words[-1].replace(_SECLUDED, "", 1), *secluded.words(secluded.read())[1:])
    session, arguments, paths = _judge(context, words)
    return execution.transfer(context, session, "rsync", arguments, paths)


def check(context: Context, command: Command) -> Session:
    """The session that serves this line. Raises Usage, and as `transfer.session_of`."""
    words = command.words[1:]
    if is_secluded(words):  # the paths are not here
        return context.session_of_channel()
    return _judge(context, words)[0]


def _judge(context: Context, words: tuple[str, ...]) -> tuple[Session, tuple[str, ...], Paths]:
    """The session that has the paths, the arguments for rsync in front of them, and the paths."""
    count = count_options(words)
    paths = words[count + 1 :]
    if words[:1] != ("--server",) or words[count : count + 1] != (".",) or not paths:
        raise Usage("rsync is started by the rsync of your own machine", "run there: rsync -a DIR/ gateway:PROJECT/")
    named = transfer.paths_of(paths)
    writes = _SENDER not in words[:count]
    if writes:
        transfer.require_projects(context, named.words)
    return transfer.session_of(context, named.words, writes), (*_options(words[:count]), "--", "."), named


def is_secluded(words: tuple[str, ...]) -> bool:
    """Whether more of the client's words come on standard input: those of the line are `--server`, perhaps `--sender`,
    and short options with an s in front of the e, whose value may have one too.
    """
    if words[:-1] not in (("--server",), ("--server", _SENDER)) or _SECLUDED not in words[-1].partition("e")[0]:
        return False
    return _are_short_options(words[-1].replace(_SECLUDED, "", 1))


def _options(words: tuple[str, ...]) -> tuple[str, ...]:
    """The options, with paths as `transfer.canonical` makes them."""
    found = list(words)
    for at, word in enumerate(words):
        name, joined, value = word.removeprefix("--").partition("=")
        if not word.startswith("--") or name not in _WITH_PATH:
            continue
        if joined:
            found[at] = f"--{name}={transfer.canonical(value)}"
        elif at + 1 < len(words):
            found[at + 1] = transfer.canonical(words[at + 1])
    return tuple(found)


def count_options(words: tuple[str, ...]) -> int:
    """The number of words at the start that are `--server`, or options that a client sends, or values of those."""
    at = 1
    while at < len(words):
        name, joined, _ = words[at].removeprefix("--").partition("=")
        if not words[at].startswith("--"):
            accepted, width = _are_short_options(words[at]), 1
        elif joined:
            accepted, width = name in _WITH_VALUE | _WITH_PATH, 1
        else:
            accepted, width = name in _WITHOUT_VALUE | _WITH_PATH, 2 if name in _WITH_PATH else 1
        if not accepted:
            break
        at += width
    return at


def _are_short_options(word: str) -> bool:
    """Whether `word` is short options as a client sends them: letters without a value, then at most one with a value.

    The one with a value is `e` with the client's capabilities (sent to a server, it does not name a shell), or `B` or
    `@` with a number, which may be negative (`-@-1`: times are compared to the nanosecond).
    """
    letters = word[1:].lstrip("".join(_LETTERS))
    if not word.startswith("-") or word == "-":
        return False
    kind, value = letters[:1], letters[1:]
    if kind == "e":
        return value[:1] in frozenset(".0123456789") and _CAPABILITIES.issuperset(value)
    number = value.removeprefix("-") if kind == "@" else value
    return not letters or (kind in ("B", "@") and number.isascii() and number.isdecimal())
