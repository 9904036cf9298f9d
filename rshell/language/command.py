"""Commands: the table of them, and a line parsed into one.

The table is all that is loaded for `help` and for refusals; a command's own module (`rshell.commands.<verb>`) is
imported when it runs. A module has `run(context, command) -> int`, the exit status, and may raise EncError.
"""

from __future__ import annotations

from gateway.base.records import Record
from gateway.errors import UnknownCommand, Usage
from gateway.identity.names import ProjectName
from rshell.language import grammar, verbs
from rshell.language.verbs import Verb

_NO_NAME = (grammar.NOT_UTF8, grammar.CONTROL)
"""Refusals that, behind a known verb, are those of a bad name."""


_SFTP_SPELLINGS = ("sftp-server", "internal-sftp")


class Command(Record):
    """A well-formed command. `words` are all words as parsed, for the transfers; `arguments` those of the program to
    run; `seconds` what `--time` gives it, 0 for nothing.
    """

    verb: Verb
    words: tuple[str, ...]
    project: ProjectName | None = None
    topic: str = ""
    value: str = ""
    arguments: tuple[str, ...] = ()
    seconds: int = 0
    flags: frozenset[str] = frozenset()

    @property
    def wants_json(self) -> bool:
        return "--json" in self.flags

    @property
    def wants_help(self) -> bool:
        return "--help" in self.flags


PROMPT = Command(verb=Verb(name="prompt", summary="type commands here", begins=True), words=())
"""What a login without a command asks for; it cannot be typed."""


def parse(line: str) -> Command:
    """The command in `line`. Raises UnknownCommand or Usage; no message repeats raw input."""
    try:
        words = grammar.split(line)
    except grammar.Refused as refused:
        if refused.reason in _NO_NAME and line.split(" ", 1)[0] in verbs.VERBS:
            raise Usage(f"that is not a valid name: {refused}") from refused
        raise UnknownCommand(f"that line is refused: {refused}", "`help` lists the commands") from refused
    if not words:
        raise UnknownCommand("the command is empty", "`help` lists the commands")
    name = "sftp" if words[0].rsplit("/", 1)[-1] in _SFTP_SPELLINGS else words[0]
    if name not in verbs.VERBS:
        raise UnknownCommand(f"unknown command {grammar.printable(words[0], 40)}", "`help` lists the commands")
    verb = verbs.VERBS[name]
    if verb.transfers:
        return Command(verb=verb, words=words, flags=frozenset({"--help"} & set(words[1:2])))
    if name == "help":
        return _help(verb, words)
    return _arguments(verb, words)


def _help(verb: Verb, words: tuple[str, ...]) -> Command:
    topics = [word for word in words[1:] if word not in ("--help", "--json")]
    if len(topics) > 1 or (topics and topics[0] not in verbs.VERBS):
        raise Usage("help is for one command", "`help` lists the commands")
    flags = frozenset({"--json"} & set(words))
    return Command(verb=verb, words=words, topic=topics[0] if topics else "", flags=flags)


def _arguments(verb: Verb, words: tuple[str, ...]) -> Command:
    words, arguments = _divided(verb, words)
    words, seconds = _timed(verb, words)
    flags = {word for word in words[1:] if word.startswith("--")}
    if "--help" in flags:
        return Command(verb=verb, words=words, flags=frozenset(("--help",)))
    names = [word for word in words[1:] if word not in flags]
    if unknown := flags - set(verb.flags):
        raise Usage(f"{verb.name} has no option {grammar.printable(min(unknown), 40)}", f"usage: {verb.usage}")
    if len(names) != len(verb.takes):
        raise Usage(f"{verb.name} takes {' and '.join(verb.takes) or 'no names'}", f"usage: {verb.usage}")
    if verb.takes_command and not arguments:
        raise Usage("the program to run comes behind `--`", f"usage: {verb.usage}")
    project = ProjectName.of(names[0]) if verb.takes_project else None
    value = names[1] if verb.takes_value else ""
    return Command(
        verb=verb,
        words=words,
        project=project,
        value=value,
        arguments=arguments,
        seconds=seconds,
        flags=frozenset(flags),
    )


def _divided(verb: Verb, words: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Our words, and those of the program: what is behind the first `--`."""
    if not verb.takes_command or "--" not in words:
        return words, ()
    at = words.index("--")
    return words[:at], words[at + 1 :]


_UNITS = {"s": 1, "m": 60, "h": 3600}


_DIGITS = 7


def _timed(verb: Verb, words: tuple[str, ...]) -> tuple[tuple[str, ...], int]:
    """The words without `--time T`, and T in seconds: a number, alone or with s, m or h behind it."""
    if verbs.TIME not in verb.flags or verbs.TIME not in words:
        return words, 0
    at = words.index(verbs.TIME)
    text = words[at + 1] if at + 1 < len(words) else ""
    unit = _UNITS.get(text[-1:], 0)
    digits = text[:-1] if unit else text
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= _DIGITS and int(digits)):
        raise Usage("the time is a number of seconds, or of minutes or hours as in 5m and 2h", f"usage: {verb.usage}")
    return words[:at] + words[at + 2 :], int(digits) * (unit or 1)
