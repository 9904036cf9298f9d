"""A project of several people, with stock tools on a real gateway: who comes in, who may do what, how they part."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.harness import PASSPHRASE, Gateway, Person, Result, eventually
from tests.life import holders_in_status, sessions_in_status
from tests.system.test_slots import by_key, one_line, signed_twice
from tests.teams import SECRET, Team, accept, formed, invite, owner, working

WITHIN = 20.0


@pytest.fixture(scope="module")
def team(gateway: Gateway) -> Team:
    return formed(gateway)


@pytest.fixture
def live(team: Team) -> Iterator[Team]:
    """All three have it mounted: bob first."""
    with working(team):
        yield team
    eventually(lambda: not sessions_in_status(team.alice), WITHIN)


def projects(who: Person) -> list[dict[str, object]]:
    found = who.ssh("ls", "--json").json["projects"]
    assert isinstance(found, list)
    return found


def write(who: Person, project: str, name: str, content: str) -> Result:
    return who.ssh("run", project, "--", "sh", "-c", f"'printf %s {content} > {name}'")


def read(who: Person, project: str, name: str) -> str:
    done = who.ssh("run", project, "--", "cat", name)
    assert done.status == 0, done
    return done.out


def test_several_people_are_in_one_view_at_the_same_time(live: Team, tmp_path: Path) -> None:
    alice, bob, carol = live.alice, live.bob, live.carol
    assert [(one["principal"], one["role"]) for one in holders_in_status(bob)] == [
        (owner(bob), "writer"),
        (owner(alice), "owner"),
        (owner(carol), "reader"),
    ]
    assert write(bob, live.shared, "from-bob", "b").status == 0
    assert write(alice, live.project, "from-alice", "a").status == 0
    assert read(carol, live.shared, "from-alice") == "a"
    assert read(alice, live.project, "from-bob") == "b"
    assert alice.sftp(f"get {live.project}/from-bob {tmp_path}/1").status == 0
    assert bob.sftp(f"get {live.shared}/from-alice {tmp_path}/2", f"put {tmp_path}/1 {live.shared}/put").status == 0
    assert carol.copy("rsync", "-a", f"gateway:{live.shared}/", f"{tmp_path}/3/").status == 0
    assert (tmp_path / "2").read_text() == "a"
    assert (tmp_path / "3" / "put").read_text() == "b"
    listed = bob.sftp("ls -1", f"ls -1 {owner(alice)}", f"ls -1 {live.shared}").out
    assert owner(alice) in listed
    assert "from-alice" in listed


def test_a_member_sees_nothing_else_of_the_owner(live: Team) -> None:
    live.alice.new("private")
    with live.alice.mounted("private"):
        assert live.bob.ssh("run", live.shared, "--", "ls", "/projects").out.split() == [owner(live.alice)]
        assert live.bob.ssh("run", live.shared, "--", "ls", f"/projects/{owner(live.alice)}").out == "plan\n"
        one_line(live.bob.ssh("run", f"{owner(live.alice)}/private", "--", "ls"), 66, "you have no project")


READERS_TRY: dict[str, Callable[[Team, Path], Result]] = {
    "run": lambda t, d: t.carol.ssh("run", t.shared, "--", "touch", "new"),
    "shell": lambda t, d: t.carol.ssh(
        "run", t.shared, "--", "sh", "-c", "'rm -rf kept; mkdir d; chmod 600 kept; ln kept k'"
    ),
    "sftp": lambda t, d: t.carol.sftp(f"put {d}/x {t.shared}/new"),
    "sftp rm": lambda t, d: t.carol.sftp(f"rm {t.shared}/kept"),
    "sftp rename": lambda t, d: t.carol.sftp(f"rename {t.shared}/kept {t.shared}/k2"),
    "sftp one": lambda t, d: t.carol.ssh("sftp", t.shared),
    "scp": lambda t, d: t.carol.copy("scp", "-O", f"{d}/x", f"gateway:{t.shared}/new"),
    "rsync": lambda t, d: t.carol.copy("rsync", f"{d}/x", f"gateway:{t.shared}/new"),
    "git": lambda t, d: t.carol.ssh("git-receive-pack", f"'{t.shared}/repo.git'"),
}


@pytest.mark.parametrize("way", READERS_TRY)
def test_a_reader_cannot_change_a_byte(live: Team, way: str, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("x")
    write(live.alice, live.project, "kept", "kept")
    tree = ("run", live.project, "--", "find", ".", "-printf", r"'%p %m %s %T@ %n\n'")
    before = live.alice.ssh(*tree).out
    assert "./kept" in before
    done = READERS_TRY[way](live, tmp_path)
    assert done.status != 0 or way in ("sftp one",), done
    assert live.alice.ssh(*tree).out == before


ONLY_OWNER = {
    "share": ("share", "{shared}", "somebody"),
    "rm": ("rm", "{shared}", "--yes"),
    "mv": ("mv", "{shared}", "other"),
    "idle": ("idle", "{shared}", "60"),
    "fsck": ("fsck", "{shared}"),
    "unshare": ("unshare", "{shared}", "somebody"),
    "unmount --all": ("unmount", "{shared}", "--all"),
}


@pytest.mark.parametrize("command", ONLY_OWNER)
def test_only_the_owner_decides(live: Team, command: str) -> None:
    words = [word.format(shared=live.shared) for word in ONLY_OWNER[command]]
    for who in (live.bob, live.carol):
        one_line(who.ssh(*words), 77, "only")
    one_line(live.dave.ssh(*words), 66, "you have no project")
    assert len(sessions_in_status(live.alice)) == 1


def test_each_leaves_without_disturbing_the_others_and_the_last_one_locks(team: Team) -> None:
    with team.bob.mounted(team.shared, SECRET) as first, team.alice.mounted(team.project) as second:
        assert team.bob.ssh("unmount", team.shared).status == 0
        first.wait()
        assert write(team.alice, team.project, "after", "x").status == 0
        one_line(team.bob.ssh("run", team.shared, "--", "ls"), 69, "is not unlocked")
        with team.carol.mounted(team.shared, SECRET):
            second.end()
            eventually(lambda: len(holders_in_status(team.carol)) == 1, WITHIN)
            assert read(team.carol, team.shared, "after") == "x"
            assert [row["state"] for row in projects(team.alice)][:1] == ["unlocked"]
            one_line(team.alice.ssh("run", team.project, "--", "ls"), 69, "only")
            assert team.alice.ssh("unmount", team.project, "--all").status == 0
    assert not sessions_in_status(team.alice)


def test_several_projects_of_several_people_on_one_connection(team: Team) -> None:
    """As the client enc does: one session, and what it mounts."""
    team.bob.new("mine")
    control = ("-o", "ControlMaster=auto", "-o", f"ControlPath={team.bob.key}-cm", "-o", "ControlPersist=yes")
    held = team.bob.hold("session", extra=control)
    try:
        held.read_until("session")
        shared = ("-o", f"ControlPath={team.bob.key}-cm")
        for name, secret in ((team.shared, SECRET), ("mine", PASSPHRASE)):
            done = team.bob.ssh("mount", name, stdin=secret + "\n", extra=shared)
            assert done.status == 0, done
        assert write(team.bob, team.shared, "both", "1").status == 0
        assert team.bob.ssh("run", "mine", "--", "ls", "/projects").out == "mine\n"
        assert team.bob.sftp(f"rename {team.shared}/both mine/both", extra=shared).status != 0
        assert team.bob.ssh("unmount", team.shared, extra=shared).status == 0
        assert [one["views"] for one in sessions_in_status(team.bob)] != []
        one_line(team.bob.ssh("run", team.shared, "--", "ls"), 69, "is not unlocked")
        assert team.bob.ssh("mount", team.shared, stdin="a wrong secret\n", extra=shared).status == 77
        assert team.bob.ssh("mount", team.shared, stdin=SECRET + "\n", extra=shared).status == 0
    finally:
        held.end()
        subprocess.run(["ssh", *shared, "-O", "exit", "gateway"], capture_output=True, check=False)
    eventually(lambda: not sessions_in_status(team.bob) and not sessions_in_status(team.alice), WITHIN)


def test_by_key_accepted_and_mounted(team: Team) -> None:
    dave, name = team.dave, team.shared
    code = invite(team.alice, team.project, owner(dave), "--days", "1")
    assert [(row["name"], row["state"]) for row in projects(dave)] == [(name, "invited")]
    one_line(dave.ssh("mount", name, stdin=code + "\n"), 64, "you are invited")
    done = dave.ssh("accept", name, stdin=code + "\n" + signed_twice(dave, name))
    assert done.status == 0, done
    with dave.mounted(name, by_key(dave, name)) as held:
        assert team.alice.ssh("unshare", team.project, owner(dave)).status == 0
        held.read_until("not shared with you any more")
    one_line(dave.ssh("mount", name, stdin="x\n"), 66, "you have no project")
    assert projects(dave) == []


BAD_SHARES: dict[str, tuple[Callable[[Team], tuple[str, ...]], int, str]] = {
    "oneself": (lambda t: (t.project, owner(t.alice)), 64, "that is you"),
    "nobody": (lambda t: (t.project, "nobody.here"), 64, "nobody here is called"),
    "twice": (lambda t: (t.project, owner(t.bob)), 64, "is a member"),
    "no project": (lambda t: ("none", owner(t.bob)), 66, "you have no project"),
    "no name": (lambda t: (t.project, "a/b"), 64, "not a valid principal"),
    "no number": (lambda t: (t.project, owner(t.dave), "--days", "0"), 64, "--days takes"),
}


@pytest.mark.parametrize("bad", BAD_SHARES)
def test_a_wrong_share_is_told_before_a_secret_is_asked_for(team: Team, bad: str) -> None:
    words, status, says = BAD_SHARES[bad]
    before = team.alice.ssh("slots", team.project, "--json").out
    one_line(team.alice.ssh("share", *words(team), stdin=""), status, says)
    assert team.alice.ssh("slots", team.project, "--json").out == before


def test_a_code_is_good_for_one_person_once_until_a_time(team: Team) -> None:
    alice, dave, name = team.alice, team.dave, team.shared
    one_line(accept(dave, name, "x"), 66, "you have no project")
    first = invite(alice, team.project, owner(dave))
    second = invite(alice, team.project, owner(dave), "--read")
    one_line(accept(dave, name, first), 77, "wrong")
    one_line(accept(dave, name, second[:-1]), 64, "mistyped")
    one_line(accept(dave, name, second[:-1] + ("A" if second[-1] != "A" else "B")), 64, "mistyped")
    one_line(accept(team.bob, name, second), 64, "member")
    one_line(dave.ssh("share", name), 64, "invited")
    assert accept(dave, name, second).status == 0
    one_line(accept(dave, name, second), 64, "member")
    kinds = [(row["member"], row["role"]) for row in alice.ssh("share", team.project, "--json").json["members"]]  # type: ignore[attr-defined]
    assert (owner(dave), "reader") in kinds
    assert (
        dave.ssh("share", name, "--json").json["members"] == alice.ssh("share", team.project, "--json").json["members"]
    )
    assert dave.ssh("leave", name).status == 0
    one_line(dave.ssh("share", name), 66, "you have no project")
    one_line(accept(dave, name, second), 66, "you have no project")


def test_an_invitation_expires(team: Team) -> None:
    from gateway.vault.slots import stored

    code = invite(team.alice, team.project, owner(team.dave))
    (directory,) = team.gateway.vaults.glob(f"u-{owner(team.alice)}/{team.project}/slots")
    vault_id = (directory.parent / "vault.toml").read_text().partition('id = "')[2][:16]
    slot = next(one for one in stored.load("plan", str(directory), vault_id) if one.kind.value == "invitation")
    config = stored.load_config("plan", str(directory), slot.name, vault_id)
    past = slot.replace(expires="2020-01-01T00:00:00Z").bound(vault_id, config)
    Path(stored.description_path(str(directory), slot.name)).write_text(past.dump())
    one_line(accept(team.dave, team.shared, code), 64, "has expired")
    listed = team.alice.ssh("share", team.project).out
    assert "invitation expired" in listed
    assert team.alice.ssh("unshare", team.project, owner(team.dave)).status == 0


def test_whose_access_ends_loses_everything_at_once(team: Team) -> None:
    """By `unshare` and by a key that is revoked; the others notice nothing."""
    with team.alice.mounted(team.project), team.bob.mounted(team.shared, SECRET) as held:
        running = team.bob.hold("run", team.shared, "--", "sleep", "1000")
        eventually(lambda: "sleep" in str(team.gateway.processes().values()), WITHIN)
        keys = team.gateway.authorized_keys
        whole = keys.read_text()
        keys.write_text("".join(line for line in whole.splitlines(True) if f"ENC_USER={owner(team.bob)}" not in line))
        try:
            assert held.process.wait(WITHIN) != 0
            assert running.process.wait(WITHIN) != 0
        finally:
            keys.write_text(whole)
        assert [one["principal"] for one in holders_in_status(team.alice)] == [owner(team.alice)]
        assert write(team.alice, team.project, "goes-on", "x").status == 0
    eventually(lambda: not sessions_in_status(team.alice), WITHIN)


def test_a_project_that_is_renamed_or_thrown_away_and_brought_back_is_still_shared(team: Team) -> None:
    assert team.alice.ssh("mv", team.project, "renamed").status == 0
    name = f"{owner(team.alice)}/renamed"
    try:
        assert name in [row["name"] for row in projects(team.bob)]
        assert team.shared not in [row["name"] for row in projects(team.bob)]
        assert team.alice.ssh("rm", "renamed", "--yes").status == 0
        assert name not in [row["name"] for row in projects(team.bob)]
        assert team.alice.ssh("trash", "restore", "renamed").status == 0
        with team.bob.mounted(name, SECRET):
            assert team.bob.ssh("run", name, "--", "true").status == 0
    finally:
        team.alice.ssh("mv", "renamed", team.project)


def test_names_of_people_and_projects_do_not_meet(team: Team) -> None:
    one_line(team.bob.ssh("new", owner(team.alice), stdin=PASSPHRASE + "\n"), 73, "name of somebody who shares")
    code = invite(team.alice, team.project, owner(team.dave))
    team.dave.new(owner(team.alice))  # an invitation takes no name away
    one_line(accept(team.dave, team.shared, code), 73, "rename your project first")
    assert team.dave.ssh("rm", owner(team.alice), "--yes").status == 0
    assert accept(team.dave, team.shared, code).status == 0
    one_line(team.dave.ssh("trash", "restore", owner(team.alice)), 73, "name of somebody who shares")
    assert team.alice.ssh("unshare", team.project, owner(team.dave)).status == 0
    assert team.dave.ssh("trash", "restore", owner(team.alice)).status == 0
    assert team.dave.ssh("rm", owner(team.alice), "--yes").status == 0


def test_what_others_changed_during_the_questions_is_what_counts(team: Team) -> None:
    alice, dave, member = team.alice, team.dave, owner(team.dave)
    code = invite(alice, team.project, member)
    sharing = alice.terminal("share", team.project, member)
    sharing.expect("assphrase")
    assert accept(dave, team.shared, code).status == 0
    sharing.send(PASSPHRASE + "\n")
    assert sharing.wait() == 64 and "is a member of plan already" in sharing.seen, sharing.seen
    assert dave.ssh("leave", team.shared).status == 0

    code = invite(alice, team.project, member)
    accepting = dave.terminal("accept", team.shared, "passphrase")
    accepting.expect("Code")
    accepting.send(code + "\n")
    accepting.expect("assphrase")
    assert alice.ssh("unshare", team.project, member).status == 0
    accepting.send(SECRET + "\n")
    accepting.expect("again")
    accepting.send(SECRET + "\n")
    assert accepting.wait() != 0, accepting.seen
    assert not [one for one in projects(dave) if one["name"] == team.shared]
    for terminal in (sharing, accepting):
        terminal.close()


def test_who_has_no_name_shares_by_fingerprint(gateway: Gateway) -> None:
    """A principal is a fingerprint then, whose slashes would be directories."""
    one, other = gateway.person(f"anon1-{os.getpid()}"), gateway.person(f"anon2-{os.getpid()}")
    assert owner(one).startswith("SHA256:")
    one.new("secret")
    code = invite(one, "secret", owner(other).replace("/", "_").replace("+", "-"))
    (row,) = projects(other)
    assert accept(other, str(row["name"]), code).status == 0
    with other.mounted(str(row["name"]), SECRET), one.mounted("secret"):
        assert write(other, str(row["name"]), "f", "x").status == 0
        assert read(one, "secret", "f") == "x"


def test_after_a_rekey_the_old_ways_of_members_open_nothing_and_new_codes_do(team: Team) -> None:
    with team.bob.mounted(team.shared, SECRET):
        one_line(team.alice.ssh("rekey", team.project, stdin=PASSPHRASE + "\n"), 75, "unlocked already")
    one_line(team.bob.ssh("rekey", team.shared), 77, "only")
    done = team.alice.ssh("rekey", team.project, "--json", stdin=PASSPHRASE + "\n")
    assert done.status == 0, done
    codes = {
        row["principal"]: row["code"] for row in json.loads(done.out.splitlines()[0])["codes"] if "principal" in row
    }
    assert set(codes) == {owner(team.bob), owner(team.carol)}
    one_line(team.bob.ssh("mount", team.shared, stdin=SECRET + "\n"), 64, "you are invited")
    assert [row["state"] for row in projects(team.bob) if row["name"] == team.shared] == ["invited"]
    for who in (team.bob, team.carol):
        assert accept(who, team.shared, codes[owner(who)]).status == 0
    with team.bob.mounted(team.shared, SECRET):
        assert read(team.bob, team.shared, "kept") == "kept"


def test_at_the_prompt(team: Team) -> None:
    """The prompt's session holds it, and the end of the prompt is the lock."""
    terminal = team.bob.terminal()
    try:
        terminal.expect("Ctrl-D leaves")
        terminal.send(f"mount {team.shared}\n")
        terminal.expect(f"Passphrase of {team.shared}")
        terminal.send(SECRET + "\n")
        terminal.expect(f"unlocked {team.shared}")
        assert [one["via"] != "" for one in holders_of(team, team.shared)] == [True]
        assert terminal.seen.count("unlocked ") == 1
        terminal.send(f"run {team.shared} -- pwd\n")
        terminal.expect(f"/projects/{team.shared}")
        terminal.send(f"unmount {team.shared}\n")
        terminal.expect(f"locked {team.shared}")
        terminal.send(f"mount {team.shared}\n")
        terminal.expect(f"Passphrase of {team.shared}")
        terminal.send(SECRET + "\n")
        terminal.expect(f"unlocked {team.shared}")
        terminal.send("exit\n")
        terminal.wait(WITHIN)
    finally:
        terminal.close()
    eventually(lambda: not sessions_in_status(team.alice) and not sessions_in_status(team.bob), WITHIN)


def holders_of(team: Team, shared: str) -> list[dict[str, object]]:
    """Those of the session that has it, as bob sees it."""
    found = [one["holders"] for one in sessions_in_status(team.bob) if shared in str(one["views"])]
    assert len(found) == 1 and isinstance(found[0], list)
    return found[0]
