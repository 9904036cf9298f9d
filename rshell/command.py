"""Commands: the table of them, and a line parsed into one.

The table is all that is loaded for `help` and for refusals; a command's own module (`rshell.commands.<verb>`) is
imported when it runs. A module has `run(context, command) -> int`, the exit status, and may raise EncError.
"""

from __future__ import annotations

from gateway.errors import UnknownCommand, Usage
from gateway.names import ProjectName
from gateway.record import Record
from rshell import grammar


class Verb(Record):
    """`takes_project`: one project name must follow, and then `takes_value` if that is not empty. `takes_command`: then
    `--` and the words of a program. `transfers`: speaks a protocol on stdin and stdout, and checks its own words; not
    for the prompt. `begins`: what it starts or changes outlives it, so it waits while the gateway is paused, or has no
    room to record the end of it. `module` is the one in rshell.commands that carries it out.
    """

    name: str
    summary: str
    takes_project: bool = False
    takes_value: str = ""
    takes_command: bool = False
    flags: tuple[str, ...] = ()
    transfers: bool = False
    begins: bool = False
    home: str = ""

    @property
    def module(self) -> str:
        return self.home or self.name

    @property
    def usage(self) -> str:
        flags = [f"[{flag} T]" if flag == TIME else f"[{flag}]" for flag in self.flags]
        return " ".join([self.name, *self.takes, *flags, *(("-- CMD ARG...",) if self.takes_command else ())])

    @property
    def takes(self) -> tuple[str, ...]:
        """The words that must follow, as the usage names them."""
        return tuple(word for word in ("PROJECT" if self.takes_project else "", self.takes_value) if word)


TIME = "--time"
"""The one option that has a value."""

VERBS = {
    verb.name: verb
    for verb in (
        Verb(name="help", summary="what there is; `help COMMAND` for one of them", flags=("--json",)),
        Verb(name="whoami", summary="who the gateway takes you for, and your live sessions", flags=("--json",)),
        Verb(name="new", summary="create a project", takes_project=True, flags=("--allow-weak", "--json"), begins=True),
        Verb(name="ls", summary="your projects: locked or unlocked, size on disk, last used", flags=("--json",)),
        Verb(
            name="mount",
            summary="unlock a project and hold it until closed",
            takes_project=True,
            flags=("--json",),
            begins=True,
        ),
        Verb(name="session", summary="hold a session open, to mount projects into", flags=("--json",), begins=True),
        Verb(name="status", summary="your sessions and what they have unlocked", flags=("--json",)),
        Verb(name="unmount", summary="lock a project", takes_project=True, flags=("--json",)),
        Verb(name="logout", summary="lock everything in your session and end it", flags=("--all", "--json")),
        Verb(
            name="idle",
            summary="after how long without use a project is locked",
            takes_project=True,
            takes_value="SECONDS",
            flags=("--json",),
            begins=True,
        ),
        Verb(
            name="rm",
            summary="remove a project (to the trash)",
            takes_project=True,
            flags=("--yes", "--json"),
            begins=True,
        ),
        Verb(
            name="run",
            summary="run a program in a project",
            takes_project=True,
            takes_command=True,
            flags=("--net", TIME),
        ),
        Verb(name="shell", summary="a shell in a project", takes_project=True, flags=("--net", TIME)),
        Verb(
            name="fsck",
            summary="check every file of a locked project",
            takes_project=True,
            flags=("--json",),
            begins=True,
        ),
        Verb(name="sftp", summary="transfer files: what `sftp` and `sshfs` ask for", transfers=True),
        Verb(name="scp", summary="transfer files: what `scp` asks for", transfers=True),
        Verb(name="rsync", summary="transfer files: what `rsync` asks for", transfers=True),
        Verb(name="git-upload-pack", summary="what `git fetch` and `git clone` ask for", transfers=True, home="git"),
        Verb(name="git-receive-pack", summary="what `git push` asks for", transfers=True, home="git"),
        Verb(name="git-upload-archive", summary="what `git archive --remote` asks for", transfers=True, home="git"),
    )
}

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
        if refused.reason in _NO_NAME and line.split(" ", 1)[0] in VERBS:
            raise Usage(f"that is not a valid name: {refused}") from refused
        raise UnknownCommand(f"that line is refused: {refused}", "`help` lists the commands") from refused
    if not words:
        raise UnknownCommand("the command is empty", "`help` lists the commands")
    name = "sftp" if words[0].rsplit("/", 1)[-1] in _SFTP_SPELLINGS else words[0]
    if name not in VERBS:
        raise UnknownCommand(f"unknown command {grammar.printable(words[0], 40)}", "`help` lists the commands")
    verb = VERBS[name]
    if verb.transfers:
        return Command(verb=verb, words=words, flags=frozenset({"--help"} & set(words[1:2])))
    if name == "help":
        return _help(verb, words)
    return _arguments(verb, words)


def _help(verb: Verb, words: tuple[str, ...]) -> Command:
    topics = [word for word in words[1:] if word not in ("--help", "--json")]
    if len(topics) > 1 or (topics and topics[0] not in VERBS):
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
    if TIME not in verb.flags or TIME not in words:
        return words, 0
    at = words.index(TIME)
    text = words[at + 1] if at + 1 < len(words) else ""
    unit = _UNITS.get(text[-1:], 0)
    digits = text[:-1] if unit else text
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= _DIGITS and int(digits)):
        raise Usage("the time is a number of seconds, or of minutes or hours as in 5m and 2h", f"usage: {verb.usage}")
    return words[:at] + words[at + 2 :], int(digits) * (unit or 1)
