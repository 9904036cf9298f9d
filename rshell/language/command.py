"""Parse a line into a command, by the table of rshell.language.verbs.

Nothing here imports a command's own module (`rshell.commands.<verb>`): it is loaded when the command runs. Such a
module has `run(context, command) -> int`, which returns the exit status and may raise EncError.
"""

from __future__ import annotations

from gateway.base.records import Record
from gateway.errors import UnknownCommand, Usage
from gateway.identity.names import Named, Principal, ProjectName, SharedName, named
from rshell.language import grammar, verbs
from rshell.language.verbs import Verb

_NAME_REASONS = (grammar.NOT_UTF8, grammar.CONTROL)
"""A line refused for one of these, after a known verb, has an invalid name: Usage, and not UnknownCommand."""

_TAKING_DATA = frozenset(name for name, verb in verbs.VERBS.items() if verb.takes_command)
_WRITTEN_BY_PROGRAMS = frozenset(name for name, verb in verbs.VERBS.items() if verb.is_transfer)

_SEE_HELP = "`help` lists the commands"
_SFTP_SPELLINGS = ("sftp-server", "internal-sftp")


class Command(Record):
    """A well-formed command.

    `words` are all words as parsed (for transfers), `topic` the command that `help` is to explain, `value` the word of
    `takes_value` or of a form, `action` the word of a form in small letters, `arguments` the words of the program to
    run, `seconds` its `--time` (0: none given), `directory` its `--directory` ("": none given), `days` the number of
    `--days` (0: none given).
    """

    verb: Verb
    words: tuple[str, ...]
    project: Named | None = None
    topic: str = ""
    value: str = ""
    action: str = ""
    arguments: tuple[str, ...] = ()
    seconds: int = 0
    directory: str = ""
    days: int = 0
    flags: frozenset[str] = frozenset()

    def asked_by(self, caller: Principal) -> Command:
        """The same with the caller's own name for a project of theirs: OWNER/P is P for the owner."""
        if isinstance(self.project, SharedName) and self.project.owner == caller:
            return self.replace(project=self.project.project)
        return self

    @property
    def wants_json(self) -> bool:
        return "--json" in self.flags

    @property
    def wants_help(self) -> bool:
        return "--help" in self.flags


PROMPT = Command(verb=Verb(name="prompt", summary="type commands at a prompt", needs_admission=True), words=())
"""What a login without a command gets. No line parses into it."""


def parse(line: str) -> Command:
    """The command in `line`. Raises UnknownCommand or Usage. No message repeats control characters of the input."""
    try:
        words = grammar.split(line, _TAKING_DATA, _WRITTEN_BY_PROGRAMS)
    except grammar.Refused as refused:
        if refused.reason in _NAME_REASONS and line.split(" ", 1)[0] in verbs.VERBS:
            raise Usage(f"that is not a valid name: {refused}") from refused
        raise UnknownCommand(f"that line is refused: {refused}", _SEE_HELP) from refused
    if not words:
        raise UnknownCommand("the command is empty", _SEE_HELP)
    name = "sftp" if words[0].rsplit("/", 1)[-1] in _SFTP_SPELLINGS else words[0]
    if name not in verbs.VERBS:
        from gateway.identity import nearest  # only after a mistake

        meant = nearest.closest(name, verbs.TYPED)
        hint = f"did you mean `{meant}`? {_SEE_HELP}" if meant else _SEE_HELP
        raise UnknownCommand(f"unknown command {grammar.printable(words[0], 40)}", hint)
    verb = verbs.VERBS[name]
    if verb.is_transfer:
        return Command(verb=verb, words=words, flags=frozenset({"--help"} & set(words[1:2])))
    if name == "help":
        return _help(verb, words)
    return _arguments(verb, words)


def _help(verb: Verb, words: tuple[str, ...]) -> Command:
    topics = [word for word in words[1:] if word not in ("--help", "--json")]
    if len(topics) > 1 or (topics and topics[0] not in verbs.VERBS):
        raise Usage("help takes the name of one command", _SEE_HELP)
    flags = frozenset({"--json"} & set(words))
    return Command(verb=verb, words=words, topic=topics[0] if topics else "", flags=flags)


def _arguments(verb: Verb, words: tuple[str, ...]) -> Command:
    words, arguments = _split_program(verb, words)
    words, time = _extract(verb, words, verbs.TIME)
    seconds = 0 if time is None else _seconds(verb, time)
    words, directory = _extract(verb, words, verbs.DIRECTORY)
    words, days = _extract(verb, words, verbs.DAYS)
    flags = {word for word in words[1:] if word.startswith("--")}
    if "--help" in flags:
        return Command(verb=verb, words=words, flags=frozenset(("--help",)))
    names = [word for word in words[1:] if word not in flags]
    if unknown := flags - set(verb.flags):
        raise Usage(f"{verb.name} has no option {grammar.printable(min(unknown), 40)}", f"usage: `{verb.usage}`")
    takes = _form(verb, names) if verb.forms else verb.takes
    if takes is None or not len(takes) - verb.value_is_optional <= len(names) <= len(takes):
        if dashed := [name for name in names if name.startswith("-")]:
            raise Usage(f"{verb.name} has no option {grammar.printable(dashed[0], 40)}", f"usage: `{verb.usage}`")
        wanted = " or ".join(filter(None, verb.forms)) or " and ".join(verb.takes) or "no names"
        raise Usage(f"{verb.name} takes {wanted}", f"usage: `{verb.usage}`")
    if verb.takes_command and not arguments:
        raise Usage("no program to run; write it after `--`", f"usage: `{verb.usage}`")
    if arguments and not grammar.is_safe(arguments[0]):  # who cannot start it says so with its name
        raise Usage("the name of a program may not have control characters", "start it with sh -c")
    given = dict(zip(takes, names, strict=False))  # an optional value may be missing
    read = ProjectName.of if verb.name == "new" else named  # what does not exist yet is one's own
    project = read(given.pop("PROJECT")) if "PROJECT" in given else None
    action = next((word for word in given if word.islower()), "")
    value = next((name for word, name in given.items() if word.isupper()), "")
    return Command(
        verb=verb,
        words=words,
        project=project,
        value=value,
        action=action,
        arguments=arguments,
        seconds=seconds,
        directory=directory or "",
        days=0 if days is None else _days(verb, days),
        flags=frozenset(flags),
    )


def _form(verb: Verb, names: list[str]) -> tuple[str, ...] | None:
    """The words of the form of `verb` that `names` have; None if they have none."""
    for form in verb.forms:
        words = tuple(form.split())
        if len(words) == len(names) and all(
            word in (name, word.upper()) for word, name in zip(words, names, strict=True)
        ):
            return words
    return None


def _split_program(verb: Verb, words: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Our words, and the program's: those after the first `--`."""
    if not verb.takes_command or "--" not in words:
        return words, ()
    at = words.index("--")
    return words[:at], words[at + 1 :]


_UNITS = {"s": 1, "m": 60, "h": 3600}
_MAX_DIGITS = 7


def _extract(verb: Verb, words: tuple[str, ...], option: str) -> tuple[tuple[str, ...], str | None]:
    """The words without `option` and its value, and the value: None when it is not given, "" when it has none."""
    if option not in verb.flags or option not in words:
        return words, None
    at = words.index(option)
    return words[:at] + words[at + 2 :], words[at + 1] if at + 1 < len(words) else ""


def _seconds(verb: Verb, given: str) -> int:
    """The seconds that T of `--time T` stands for: a number, or a number and s, m or h. Raises Usage."""
    unit = _UNITS.get(given[-1:], 0)
    digits = given[:-1] if unit else given
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= _MAX_DIGITS and int(digits)):
        raise Usage("--time takes seconds, or minutes or hours as in 5m and 2h", f"usage: `{verb.usage}`")
    return int(digits) * (unit or 1)


def _days(verb: Verb, given: str) -> int:
    if not (given.isascii() and given.isdecimal() and 0 < int(given[:4]) <= _MOST_DAYS and len(given) <= 3):
        raise Usage(f"--days takes a number from 1 to {_MOST_DAYS}", f"usage: `{verb.usage}`")
    return int(given)


_MOST_DAYS = 90
"""An invitation is a secret that lies about until it is used."""
