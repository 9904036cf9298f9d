"""Parsing lines into commands: which are accepted, and the code and the one safe line of a refusal."""

from __future__ import annotations

import importlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import EncError, UnknownCommand, Usage
from rshell.language.command import Command, parse
from rshell.language.verbs import TIME, VALUES, VERBS

SIMPLE = ("whoami", "ls", "session", "status", "logout")
PROJECT = ("new", "mount", "unmount", "rm")


def allowed(line: str, verb: str, project: str | None = None, *flags: str, value: str = "", topic: str = "") -> object:
    return pytest.param(line, verb, project, frozenset(flags), value, topic, id=line)


ALLOWED = [
    *(allowed(name, name) for name in SIMPLE),
    *(allowed(f"{name} --json", name, None, "--json") for name in SIMPLE),
    *(allowed(f"{name} p", name, "p") for name in PROJECT),
    *(allowed(f"{name} p --json", name, "p", "--json") for name in PROJECT),
    *(allowed(f"{name} --help", name, None, "--help") for name in (*SIMPLE, *PROJECT, "idle", "sftp", "scp", "rsync")),
    allowed("help", "help"),
    allowed("help mount", "help", topic="mount"),
    allowed("help sftp", "help", topic="sftp"),
    allowed("help --help", "help"),
    allowed("logout --all --json", "logout", None, "--all", "--json"),
    allowed("new p --allow-weak", "new", "p", "--allow-weak"),
    allowed("rm --yes p", "rm", "p", "--yes"),
    allowed("rm p --yes --yes", "rm", "p", "--yes"),
    allowed("idle p 60", "idle", "p", value="60"),
    allowed("--json".join(("mount ", " p")), "mount", "p", "--json"),
    allowed("mount p --nonsense --help", "mount", None, "--help"),
    allowed("  \tls\t ", "ls"),
    allowed("'ls'", "ls"),
    allowed('mount "my.proj_2-x"', "mount", "my.proj_2-x"),
    allowed(f"mount {'a' * 63}", "mount", "a" * 63),
]


@pytest.mark.parametrize(("line", "verb", "project", "flags", "value", "topic"), ALLOWED)
def test_takes(line: str, verb: str, project: str | None, flags: frozenset[str], value: str, topic: str) -> None:
    asked = parse(line)
    assert asked == Command(
        verb=VERBS[verb], words=asked.words, project=asked.project, flags=flags, value=value, topic=topic
    )
    assert asked.project == project
    assert (asked.wants_json, asked.wants_help) == ("--json" in flags, "--help" in flags)


TRANSFERS = [
    pytest.param("sftp", "sftp", id="the subsystem as our ForceCommand may be told of it"),
    pytest.param("sftp-server", "sftp", id="by name"),
    pytest.param("internal-sftp", "sftp", id="sshd's own"),
    pytest.param("/usr/lib/openssh/sftp-server", "sftp", id="Debian's path"),
    pytest.param("/usr/libexec/openssh/sftp-server", "sftp", id="Fedora's path"),
    pytest.param("/usr/lib/openssh/sftp-server -d /etc -l DEBUG3", "sftp", id="with arguments, which are dropped"),
    pytest.param("scp -t p/", "scp", id="scp -O receiving"),
    pytest.param("scp -r -f -- p", "scp", id="scp -O sending"),
    pytest.param("rsync --server -e.iLsfxCIvu . p/", "rsync", id="rsync"),
    pytest.param("rsync --server --help", "rsync", id="options of a transfer are its own"),
]


@pytest.mark.parametrize(("line", "verb"), TRANSFERS)
def test_takes_a_transfer_and_leaves_its_words_as_they_are(line: str, verb: str) -> None:
    assert parse(line) == Command(verb=VERBS[verb], words=tuple(line.split()))


USAGE = [
    *(pytest.param(f"{name} p", id=f"{name} with a name") for name in SIMPLE),
    *(pytest.param(name, id=f"{name} without a name") for name in PROJECT),
    *(pytest.param(f"{name} p q", id=f"{name} with two names") for name in PROJECT),
    *(pytest.param(f"{name} --nonsense p", id=f"{name} with an unknown option") for name in PROJECT),
    pytest.param("ls -l", id="a short option"),
    pytest.param("mount -p", id="a short option for a name"),
    pytest.param("mount -- p", id="end of options"),
    pytest.param("ls --json=1", id="an option with a value"),
    pytest.param("ls --JSON", id="an option in capitals"),
    pytest.param("ls --yes", id="another verb's option"),
    pytest.param("ls ''", id="an empty word"),
    pytest.param("mount ''", id="an empty name"),
    pytest.param("mount ..", id="the parent"),
    pytest.param("mount a/b/c", id="two slashes"),
    pytest.param("mount a/", id="no project behind the owner"),
    pytest.param("mount /b", id="no owner"),
    pytest.param("mount ../other/p", id="somebody else's"),
    pytest.param("mount 'a b'", id="a blank"),
    pytest.param("mount a\x1b[2J", id="an escape sequence"),
    pytest.param("mount \x00", id="NUL"),
    pytest.param("mount 'a\nb'", id="a line end"),
    pytest.param("mount \udcff", id="not UTF-8"),
    pytest.param("mount \u202ea", id="written backwards"),
    pytest.param("mount P", id="capitals"),
    pytest.param(f"mount {'a' * 64}", id="64 characters"),
    pytest.param("mount \u0440", id="another script"),
    pytest.param("mount \u00e9", id="an accent"),
    pytest.param("help nonsense", id="help for what is not there"),
    pytest.param("help mount ls", id="help for two"),
    pytest.param("idle", id="idle without anything"),
    pytest.param("idle p 60 60", id="idle with a word too many"),
    pytest.param("idle .. 60", id="idle of the parent"),
]


@pytest.mark.parametrize("line", USAGE)
def test_words_that_do_not_fit_are_a_usage_error(line: str) -> None:
    with pytest.raises(Usage) as caught:
        parse(line)
    assert caught.value.code == 64
    assert caught.value.line().isprintable()


UNKNOWN = [
    pytest.param("", id="nothing"),
    pytest.param("   ", id="blanks"),
    pytest.param("''", id="an empty word"),
    pytest.param("bash", id="a shell"),
    pytest.param("/bin/sh -c id", id="a shell's path"),
    pytest.param("LS", id="capitals"),
    pytest.param("ls.", id="nearly"),
    pytest.param("./ls", id="a path"),
    pytest.param("/usr/bin/ls", id="a path to the real one"),
    pytest.param("/usr/bin/rsync --server . p", id="a transfer by its path"),
    pytest.param("-ls", id="an option"),
    pytest.param("--help", id="only an option"),
    pytest.param("__init__", id="a module that is no command"),
    pytest.param("rshell.commands.ls", id="a module's name"),
    pytest.param("PATH=/tmp ls", id="an assignment"),
    pytest.param("env ls", id="a wrapper"),
    pytest.param("sftp-server/", id="an empty last component"),
    pytest.param("ls; id", id="a second command"),
    pytest.param("ls && id", id="a list"),
    pytest.param("ls | sh", id="a pipe"),
    pytest.param("ls > p", id="a redirection"),
    pytest.param("ls $(id)", id="a substitution"),
    pytest.param("ls `id`", id="an old substitution"),
    pytest.param("mount *", id="a glob"),
    pytest.param("mount ~", id="a tilde"),
    pytest.param("ls # x", id="a comment"),
    pytest.param("ls\nid", id="a second line"),
    pytest.param("ls\r", id="a carriage return"),
    pytest.param("ls\x1b[2J", id="an escape sequence behind a verb"),
    pytest.param("ls\x00", id="NUL"),
    pytest.param("\x1b[2J", id="an escape sequence"),
    pytest.param("ls 'x", id="an open quote"),
    pytest.param("l\udcff", id="not UTF-8"),
    pytest.param("ls " + "x" * 9000, id="too long"),
    pytest.param("l\u200bs", id="an invisible character"),
]


@pytest.mark.parametrize("line", UNKNOWN)
def test_what_is_no_command_is_unknown_in_one_line_that_names_help(line: str) -> None:
    with pytest.raises(UnknownCommand) as caught:
        parse(line)
    assert caught.value.code == 127
    assert "`help`" in caught.value.line()
    assert caught.value.line().isprintable() and len(caught.value.line()) < 200


@given(
    st.text(st.characters()) | st.sampled_from(sorted(VERBS)).flatmap(lambda verb: st.text().map(f"{verb} ".__add__))
)
def test_any_line_is_a_command_or_one_safe_line(line: str) -> None:
    try:
        asked = parse(line)
    except EncError as error:
        assert isinstance(error, Usage | UnknownCommand)
        assert error.line().isprintable() and len(error.line()) < 300
    else:
        assert asked.verb is VERBS[asked.verb.name]
        assert asked.flags <= {*asked.verb.flags, "--help"}
        assert asked.project is None or type(asked.project).accepts(asked.project)


@pytest.mark.parametrize("name", VERBS)
def test_every_verb_has_a_module_a_summary_and_a_usage_that_parses(name: str) -> None:
    verb = VERBS[name]
    module = importlib.import_module(f"rshell.commands.{verb.module}")
    assert callable(module.run)
    assert verb.name == name and verb.summary
    assert verb.usage.split()[0] == name
    if not verb.is_transfer and name != "help":
        flags = [f"{flag} 5" if flag in VALUES else flag for flag in verb.flags]
        program = ["--", "true"] if verb.takes_command else []
        for form in verb.forms or (" ".join(verb.takes),):
            given = ["p" if word == "PROJECT" else "1" if word.isupper() else word for word in form.split()]
            asked = parse(" ".join([name, *given, *flags, *program]))
            assert asked.flags == set(verb.flags) - set(VALUES)
            assert asked.seconds == (5 if TIME in verb.flags else 0)
            assert (asked.project is not None) == ("PROJECT" in form)
            assert asked.action == "".join(word for word in form.split() if word.islower())
            assert bool(asked.value) == any(word.isupper() and word != "PROJECT" for word in form.split())


NO_FORM = ["slot", "slot add p", "slot p add key", "slot ADD p key", "slot list p x", "trash p", "trash restore"]
NO_FORM += ["trash empty p q", "mv p", "mv p q r", "challenge", "challenge p s x", "recover", "slot add ../p key"]


@pytest.mark.parametrize("line", NO_FORM)
def test_what_has_no_form_of_a_verb_is_refused(line: str) -> None:
    with pytest.raises(Usage):
        parse(line)


OURS = [name for name, verb in VERBS.items() if not verb.is_transfer and name not in ("help", "run", "shell")]


@pytest.mark.parametrize("name", OURS)
def test_every_command_whose_output_is_ours_takes_json(name: str) -> None:
    assert "--json" in VERBS[name].flags


RUNS = [
    pytest.param("run p -- make", ("make",), 0, (), id="plain"),
    pytest.param(
        "run p -- make --json -- --net", ("make", "--json", "--", "--net"), 0, (), id="words are the program's"
    ),
    pytest.param("run --net p -- sh -c 'a; b'", ("sh", "-c", "a; b"), 0, ("--net",), id="quoted shell syntax"),
    pytest.param("run p --time 90 -- x", ("x",), 90, (), id="seconds"),
    pytest.param("run p --time 5m --net -- x", ("x",), 300, ("--net",), id="minutes"),
    pytest.param("run --time 2h p -- x", ("x",), 7200, (), id="hours"),
    pytest.param("run p -- ''", ("",), 0, (), id="an empty name, which is no program"),
]


@pytest.mark.parametrize(("line", "arguments", "seconds", "flags"), RUNS)
def test_takes_a_program(line: str, arguments: tuple[str, ...], seconds: int, flags: tuple[str, ...]) -> None:
    asked = parse(line)
    assert str(asked.project) == "p"
    assert (asked.arguments, asked.seconds, asked.flags) == (arguments, seconds, frozenset(flags))


NO_RUNS = [
    *(
        "run",
        "run p",
        "run p --",
        "run p make",
        "run p make -- x",
        "run -- x",
        "run p --json -- x",
        "run p --time -- x",
    ),
    *(
        "run p --time 0 -- x",
        "run p --time -1 -- x",
        "run p --time 5d -- x",
        "run p --time m -- x",
        "shell",
        "shell p -- x",
    ),
    *("run p --time 99999999 -- x", "run p --time \u0663 -- x", "run p --net=yes -- x", "shell p --time 1.5"),
]


@pytest.mark.parametrize("line", NO_RUNS)
def test_refuses_what_names_no_program(line: str) -> None:
    with pytest.raises(Usage):
        parse(line)
