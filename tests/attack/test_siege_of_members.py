"""The siege from within: what members of a shared project try, and those who are invited, strangers, or expelled.

Each case of cases.tsv has the exit status and words that test_siege.py describes. Beside that: a reader changes
nothing, and to a stranger what exists and what does not answer alike, to them and in what the audit has of them.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.attack.field import CANARY, LEAKS, connection, decoded, filled
from tests.attack.test_siege import Case, by, required
from tests.harness import PASSPHRASE, Gateway, Person, Result, eventually
from tests.teams import SECRET, Team, accept, formed, invite, owner, working

WITHIN = 10.0
TREE = ("run", "plan", "--", "find", ".", "-printf", "'%p %m %s %T@ %n %l;'")


@dataclass(frozen=True)
class Inside:
    """The team at work, eve who is nobody to it, and what {names} of the cases mean."""

    team: Team
    eve: Person
    names: dict[str, str]
    connections: dict[str, tuple[str, ...]]

    def ssh(self, role: str, line: str) -> Result:
        return self.who(role).ssh(line, stdin="x\n", extra=self.connections[role])

    def who(self, role: str) -> Person:
        team = self.team
        return {"reader": team.carol, "writer": team.bob, "invited": team.dave, "stranger": self.eve}[role]

    def line(self, case: Case, **names: str) -> str:
        return decoded(filled(case.sent, self.names | names)).decode(errors="surrogateescape")

    def tree(self) -> str:
        done = self.team.alice.ssh(*TREE, extra=self.connections["owner"])
        assert done.status == 0 and "kept" in done.out, done
        return done.out


@pytest.fixture(scope="module")
def inside(gateway: Gateway) -> Iterator[Inside]:
    team = formed(gateway)
    alice = team.alice
    invite(alice, "plan", owner(team.dave))
    alice.new("private")
    for who in (team.bob, team.carol):
        who.new("mine")
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as held:
        held.enter_context(working(team))
        held.enter_context(alice.mounted("private"))
        held.enter_context(team.carol.mounted("mine"))
        file, void = Path(name) / "secret", Path(name) / "void"
        file.write_text(CANARY)
        assert alice.sftp(f"put {file} private/secret").status == 0
        assert alice.ssh("run", "plan", "--", "sh", "-c", "'echo x >kept; git init -q --bare repo.git'").status == 0
        names = {"p": team.shared, "owner": owner(alice), "other": owner(team.bob), "file": str(file)}
        eve = gateway.person(f"eve-{owner(alice)}")
        all_of_them = {"owner": alice, "reader": team.carol, "writer": team.bob, "invited": team.dave, "stranger": eve}
        connections = {
            role: held.enter_context(connection(who, Path(name) / role)) for role, who in all_of_them.items()
        }
        yield Inside(team, eve, names | {"void": str(void)}, connections)
        assert not void.exists()
    assert gateway.events("fault") == []


def hold(case: Case, inside: Inside, done: Result) -> None:
    said = done.out + done.err
    assert not [leak for leak in LEAKS if leak in said], said
    failed = len([line for line in done.err.splitlines() if line.strip()])
    for must in case.must.split(" "):
        assert required(filled(must, inside.names), said, done.status) or must == f"refused:{failed}", done


@pytest.fixture
def unchanged(inside: Inside) -> Iterator[None]:
    before = inside.tree()
    yield
    assert inside.tree() == before


@by("reader")
def test_a_reader(case: Case, inside: Inside, unchanged: None) -> None:
    hold(case, inside, inside.ssh("reader", inside.line(case)))


@by("reader-sftp")
def test_a_reader_by_sftp(case: Case, inside: Inside, unchanged: None) -> None:
    hold(case, inside, inside.who("reader").sftp(inside.line(case), extra=inside.connections["reader"]))


@by("writer")
def test_a_writer(case: Case, inside: Inside) -> None:
    hold(case, inside, inside.ssh("writer", inside.line(case)))


@by("invited")
def test_who_is_invited(case: Case, inside: Inside, unchanged: None) -> None:
    hold(case, inside, inside.ssh("invited", inside.line(case)))


_TIMES = ("seq", "time", "prev", "request", "port", "took_ms", "project")


@by("stranger")
def test_a_stranger_cannot_tell_what_exists(case: Case, inside: Inside) -> None:
    gateway, alice = inside.eve.gateway, inside.names["owner"]
    answers, traces = [], []
    for name in (inside.team.shared, f"{alice}/nothing", "nobody/plan"):
        before = len(gateway.audit())
        done = inside.ssh("stranger", inside.line(case, p=name))
        hold(case, inside, done)
        word, project = name.split("/")
        said = (done.out + done.err).replace(name, "NAME").replace(word, "WORD").replace(project, "PROJECT")
        answers.append((done.status, said))
        records = [one for one in gateway.audit()[before:] if one.get("principal") == inside.eve.fingerprint]
        traces.append([{key: value for key, value in one.items() if key not in _TIMES} for one in records])
    assert answers[0] == answers[1] == answers[2]
    assert traces[0] == traces[1] == traces[2] and traces[0]


def test_who_is_expelled_has_nothing_left_within_seconds(inside: Inside) -> None:
    """Programs, a transfer, the channel that holds it, and a terminal."""
    team, who = inside.team, inside.eve
    name, project = team.shared, team.project
    assert accept(who, name, invite(team.alice, project, owner(who))).status == 0
    held = who.hold("mount", name, stdin=SECRET + "\n")
    held.read_until("unlocked")
    running = [
        who.hold("run", name, "--", "sh", "-c", "'echo up; trap : TERM HUP; while :; do sleep 1; done'"),
        who.hold("run", name, "--", "sh", "-c", "'echo up; sleep 1000'"),
    ]
    for each in running:
        each.read_until("up")
    sftp = who.sftp_terminal()
    sftp.send(f"cd {name}\n")
    sftp.expect("sftp> ")
    shell = who.terminal("shell", name)
    shell.expect("$")
    assert team.alice.ssh("unshare", project, owner(who)).status == 0
    for each in (held, *running):
        assert each.wait(WITHIN).status != 0
    shell.wait(WITHIN)
    sftp.send("ls\n")
    sftp.wait(WITHIN)
    assert "kept" not in sftp.seen
    assert who.ssh("run", name, "--", "ls").status == 66
    assert who.ssh("mount", name, stdin=SECRET + "\n").status == 66
    eventually(lambda: owner(who) not in str(team.alice.ssh("status").out), WITHIN)
    assert team.bob.ssh("run", name, "--", "cat", "kept").status == 0
    assert team.alice.ssh("fsck", project, stdin=PASSPHRASE + "\n").status == 75, "the others go on"
