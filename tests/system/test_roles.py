"""The table of docs/sharing.md, cell by cell, on a real sshd: who may do what to a shared project."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from rshell.language.verbs import VERBS
from tests.harness import PASSPHRASE, Gateway, Person, Result, run
from tests.system.test_slots import CODE
from tests.teams import SECRET, Team, accept, formed, invite, owner, working

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "sharing.md"
ROLES = ("owner", "writer", "reader", "invited", "nobody")


@dataclass(frozen=True)
class Try:
    """Somebody in a role. `name` is what they call the project, and `other` is a member whom the owner may remove."""

    role: str
    who: Person
    name: str
    secret: str
    other: str
    ground: Path
    team: Team

    def ssh(self, *words: str, stdin: str = "") -> Result:
        return self.who.ssh(*(word.format(p=self.name, other=self.other) for word in words), stdin=stdin)

    def proven(self, *words: str, then: str = "") -> Result:
        return self.ssh(*words, stdin=f"{self.secret}\n{then}")

    def inside(self, *words: str) -> Result:
        return self.ssh("run", "{p}", "--", *words)

    def sftp(self, command: str) -> Result:
        return judged(self.who.sftp(command.format(p=self.name, ground=self.ground)))

    def copied(self, tool: str, *words: str) -> Result:
        return judged(self.who.copy(tool, *(word.format(p=self.name, ground=self.ground) for word in words)))

    def git(self, *words: str) -> Result:
        ssh = f"ssh -F {self.who.gateway.ssh_config} -i {self.who.key}"
        config = ("-c", f"core.sshCommand={ssh}", "-c", "user.name=x", "-c", "user.email=x@x")
        return judged(run(["git", *config, *(word.format(p=self.name, ground=self.ground) for word in words)]))


SAID = {
    "you have no project": 66,
    "is not unlocked": 69,
    "nothing is unlocked": 69,
    "unlocked it": 69,
    "not change it": 77,
    "ermission denied": 77,
    "Read-only": 77,
}


def judged(done: Result) -> Result:
    """With the gateway's exit status: a client has its own, and passes on what the gateway said."""
    found = [status for said, status in SAID.items() if said in done.err]
    return replace(done, status=found[0]) if done.status and found else done


HOLDERS = ("owner", "writer", "reader")
Attempt = Callable[[Try], Result]


def mounted(one: Try) -> Result:
    """Held by one more channel for a moment."""
    held = one.who.hold("mount", one.name, stdin=one.secret + "\n")
    try:
        if one.role in HOLDERS:
            held.read_until("unlocked")
            return Result(0, "", "")
        return held.wait()
    finally:
        held.end()


def put_back(one: Try, done: Result, *words: str) -> Result:
    if done.status == 0:
        again = one.ssh(*words)
        assert again.status == 0, again
    return done


def renamed(one: Try) -> Result:
    done = one.ssh("mv", "{p}", "other")
    return put_back(one, done, "mv", "other", "plan")


def removed(one: Try) -> Result:
    return put_back(one, one.ssh("rm", "{p}", "--yes"), "trash", "restore", "plan")


def unshared(one: Try) -> Result:
    done = one.ssh("unshare", "{p}", "{other}")
    if done.status == 0:
        invite(one.who, one.team.project, one.other)
    return done


def recovery(one: Try) -> tuple[str, str]:
    """The name of a new recovery slot, and its code."""
    added = one.proven("slot", "add", "{p}", "recovery")
    code = CODE.search(added.out)
    return (added.out.split()[1], code[0]) if code else ("recovery", "0000")


def slot_removed(one: Try) -> Result:
    return one.proven("slot", "rm", "{p}", recovery(one)[0])


def recovered(one: Try) -> Result:
    return one.ssh("recover", "{p}", stdin=f"{recovery(one)[1]}\n{one.secret}\n")


def another_passphrase(one: Try) -> Result:
    other = one.secret * 2
    done = one.proven("passwd", "{p}", then=f"{other}\n")
    if done.status == 0:
        assert one.ssh("passwd", "{p}", stdin=f"{other}\n{one.secret}\n").status == 0
    return done


def accepted(one: Try) -> Result:
    """The invitation of who is invited, which they then have again."""
    alice, project = one.team.alice, one.team.project
    code = invite(alice, project, one.other)
    done = accept(one.who, one.name, code)
    if one.role == "invited":
        assert alice.ssh("unshare", project, one.other).status == 0
        invite(alice, project, one.other)
    return done


def left(one: Try) -> Result:
    """They are let in again."""
    done = one.ssh("leave", "{p}")
    if done.status == 0:
        flags = ["--read"] if one.role == "reader" else []
        code = invite(one.team.alice, one.team.project, owner(one.who), *flags)
        if one.role != "invited":
            assert accept(one.who, one.name, code).status == 0
    return done


def unmounted(one: Try) -> Result:
    if one.role not in HOLDERS:
        return one.ssh("unmount", "{p}")
    with one.who.mounted(one.name, one.secret):
        return one.ssh("unmount", "{p}")


def ended_for_all(one: Try) -> Result:
    """By somebody who has it as well, if they can."""
    who, name, secret = (one.who, one.name, one.secret) if one.role in HOLDERS else (one.team.bob, one.name, SECRET)
    with who.mounted(name, secret):
        return one.ssh("unmount", "{p}", "--all")


LIVE: dict[str, Attempt] = {
    "`mount P`": mounted,
    "`run P -- CMD` that reads": lambda one: one.inside("cat", "kept"),
    "`run P -- CMD` that writes": lambda one: judged(one.inside("touch", "kept")),
    "`shell P`": lambda one: one.ssh("shell", "{p}", stdin="exit\n"),
    "`workspace P`": lambda one: one.ssh("workspace", "{p}"),
    "`sftp`, `sshfs`: read": lambda one: one.sftp("get {p}/kept {ground}/got"),
    "`sftp`, `sshfs`: write": lambda one: one.sftp("put {ground}/x {p}/put"),
    "`scp` from it": lambda one: one.copied("scp", "-O", "gateway:{p}/kept", "{ground}/got"),
    "`scp` to it": lambda one: one.copied("scp", "-O", "{ground}/x", "gateway:{p}/put"),
    "`rsync` from it": lambda one: one.copied("rsync", "gateway:{p}/kept", "{ground}/got"),
    "`rsync` to it": lambda one: one.copied("rsync", "{ground}/x", "gateway:{p}/put"),
    "`git fetch`, `git clone`": lambda one: one.git("ls-remote", "gateway:{p}/repo.git"),
    "`git push`": lambda one: one.git("-C", "{ground}/clone", "push", "-q", "gateway:{p}/repo.git", "HEAD:main"),
    "`touch P`": lambda one: one.ssh("touch", "{p}"),
}
LOCKED: dict[str, Attempt] = {
    "`ls` shows it": lambda one: Result(0 if one.name in one.ssh("ls").out.split() else 66, "", ""),
    "`slots P`": lambda one: one.ssh("slots", "{p}"),
    "`challenge P --new`": lambda one: one.ssh("challenge", "{p}", "--new"),
    "`slot add P KIND`": lambda one: one.proven("slot", "add", "{p}", "recovery"),
    "`slot rm P SLOT`": slot_removed,
    "`passwd P`": another_passphrase,
    "`recover P`": recovered,
    "`share P` lists the members": lambda one: one.ssh("share", "{p}"),
    "`share P WHO`": lambda one: one.proven("share", "{p}", "{other}"),
    "`unshare P WHO`": unshared,
    "`accept P`": accepted,
    "`leave P`": left,
    "`unmount P`": unmounted,
    "`unmount P --all`": ended_for_all,
    "`idle P`": lambda one: one.ssh("idle", "{p}"),
    "`fsck P`": lambda one: one.proven("fsck", "{p}"),
    "`rekey P`": lambda one: one.ssh("rekey", "{p}", "--discard"),
    "`mv P NEW`": renamed,
    "`rm P`": removed,
}


@pytest.fixture(scope="module")
def team(gateway: Gateway) -> Team:
    return formed(gateway)


@pytest.fixture(scope="module")
def place_of(team: Team, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("roles")


@pytest.fixture(scope="module")
def tries(team: Team, place_of: Path, gateway: Gateway) -> dict[str, Try]:
    (place_of / "x").write_text("x")
    invite(team.alice, team.project, owner(team.dave))
    eve = gateway.person(f"eve-{team.bob.name}")
    who = dict(zip(ROLES, (team.alice, team.bob, team.carol, team.dave, eve), strict=True))
    return {
        role: Try(
            role=role,
            who=person,
            name=team.project if role == "owner" else team.shared,
            secret=PASSPHRASE if role == "owner" else SECRET,
            other=owner(team.dave),
            ground=place_of,
            team=team,
        )
        for role, person in who.items()
    }


def table(first: str) -> dict[str, list[str]]:
    """The rows of the table of the document whose first column is called so, by that column."""
    text = DOCUMENT.read_text(encoding="utf-8").split(f"| {first} |")[1].split("\n\n")[0]
    rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()[2:])
    return {name: cells for name, *cells in rows}


MEANS = {word: int(status) for word, (status, _) in table("word").items()}
TABLE = {name: dict(zip(ROLES, cells, strict=True)) for name, cells in table("command").items()}


def test_the_table_has_a_row_for_each_command_that_is_about_a_project() -> None:
    assert TABLE.keys() == LOCKED.keys() | LIVE.keys()
    named = " ".join(TABLE)
    typed = {
        name for name, verb in VERBS.items() if verb.takes_project or any("PROJECT" in form for form in verb.forms)
    }
    assert {name for name in typed if f"`{name} " not in named} == {"new", "trash"}, "of one's own alone"


def holds(tries: dict[str, Try], name: str, attempt: Attempt) -> None:
    """Each cell of the row, and that what failed said one line."""
    for role, word in TABLE[name].items():
        done = attempt(tries[role])
        assert done.status == MEANS[word], (name, role, word, done)
        assert done.status == 0 or "Traceback" not in done.err


@pytest.mark.parametrize("name", LOCKED)
def test_of_a_project_that_nobody_has_unlocked(tries: dict[str, Try], name: str) -> None:
    holds(tries, name, LOCKED[name])


@pytest.fixture(scope="module")
def live(tries: dict[str, Try], team: Team) -> Iterator[dict[str, Try]]:
    """The owner, the writer and the reader have it unlocked."""
    with working(team):
        prepare(tries["owner"])
        yield tries


@pytest.mark.parametrize("name", LIVE)
def test_of_a_project_that_its_members_have_unlocked(live: dict[str, Try], name: str) -> None:
    holds(live, name, LIVE[name])


def prepare(one: Try) -> None:
    assert one.inside("sh", "-c", "'touch kept; git init -q --bare -b main repo.git'").status == 0
    assert one.git("init", "-q", "{ground}/clone").status == 0
    assert one.git("-C", "{ground}/clone", "commit", "-q", "--allow-empty", "-m", "x").status == 0
