"""What a sysadmin sees of shared projects, and how links are mended: vaults, audit, why, doctor, key revoke, sweep."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.identity.names import Principal
from gateway.vault.members import links
from tests.harness import PASSPHRASE, Gateway, Person, Result, admin, bindir, run
from tests.system.test_slots import one_line, signed_twice
from tests.teams import SECRET, Team, accept, formed, invite, owner, working


@pytest.fixture(scope="module")
def team(gateway: Gateway) -> Team:
    return formed(gateway)


def rows(gateway: Gateway, command: str, what: str, *words: str) -> list[dict[str, object]]:
    done = admin(gateway, *command.split(), "--json", *words)
    found = json.loads(done.out)[what]
    assert isinstance(found, list), done
    return found


def vault(team: Team) -> dict[str, object]:
    found = rows(team.alice.gateway, "vaults", "vaults")
    return next(one for one in found if (one["principal"], one["project"]) == (owner(team.alice), team.project))


def members(team: Team) -> dict[object, dict[str, object]]:
    found = vault(team)["members"]
    assert isinstance(found, list)
    return {one["member"]: one for one in found}


def listed(who: Person) -> list[object]:
    found = who.ssh("ls", "--json").json["projects"]
    assert isinstance(found, list)
    return [one["name"] for one in found]


def test_vaults_tells_members_and_when_they_last_had_it_and_the_audit_what_they_did(team: Team) -> None:
    gateway, alice, bob, carol = team.alice.gateway, *map(owner, (team.alice, team.bob, team.carol))
    with working(team):
        shown = admin(gateway, "sessions").out
        assert f"{bob}, {alice}, {carol}" in shown.replace("\n", " ") and f"{alice}/plan" in shown
        (session,) = [one for one in rows(gateway, "sessions", "sessions") if one["principal"] == alice]
        held = session["holders"]
        assert isinstance(held, list)
        assert [(one["principal"], one["role"]) for one in held] == [
            *((bob, "writer"), (alice, "owner"), (carol, "reader"))
        ]
        said = team.carol.ssh("status").out
        assert f"{bob}, mount from" in said and f"also held by {alice}" in said
        drawn = team.carol.terminal("status")
        assert f"{bob} (writer) from" in drawn.expect("LAST USE")
        drawn.close()
    found = members(team)
    assert [(one["role"], one["kinds"], one["invited_until"]) for one in found.values()] == [
        *(("writer", ["passphrase"], ""), ("reader", ["passphrase"], ""))
    ]
    assert all(one["last_used"] for one in found.values())
    assert f"{bob} (writer), {carol} (reader)" in admin(gateway, "vaults").out.replace("\n", " ")
    events = rows(gateway, "audit show", "records", "--project", team.shared)
    by_name: dict[object, list[dict[str, object]]] = {}
    for one in events:
        by_name.setdefault(one["event"], []).append(one)
    for event in ("shared", "accepted"):
        about = [(one["owner"], one["member"], one["role"]) for one in by_name[event]]
        assert about == [(alice, bob, "writer"), (alice, carol, "reader")], event
    assert {(one["principal"], one["role"]) for one in by_name["joined"]} == {(alice, "owner"), (carol, "reader")}
    assert {(one["principal"], one["owner"]) for one in by_name["unlocked"]} == {(bob, alice)}
    assert {one["project"] for one in events} == {"plan", team.shared}
    plain = rows(gateway, "audit show", "records", "--project", "plan")
    assert [one["seq"] for one in plain if one["seq"] in {each["seq"] for each in events}] == [
        one["seq"] for one in events
    ]
    assert not rows(gateway, "audit show", "records", "--project", f"{bob}/plan")
    told = admin(gateway, "audit", "show", "--project", team.shared).out.replace("\n", " ")
    for words in (f"invited {bob} to plan as writer", f"became a reader of {team.shared}", "joined plan of"):
        assert words in told, told


@pytest.fixture
def passing(team: Team) -> Iterator[Person]:
    """Dave, a reader for a while."""
    assert accept(team.dave, team.shared, invite(team.alice, team.project, owner(team.dave), "--read")).status == 0
    yield team.dave
    team.alice.ssh("unshare", team.project, owner(team.dave))


def test_the_ends_of_memberships_are_told_apart(team: Team, passing: Person) -> None:
    gateway, dave = team.alice.gateway, owner(team.dave)
    assert passing.ssh("leave", team.shared).status == 0
    invite(team.alice, team.project, dave)
    assert team.alice.ssh("unshare", team.project, dave).status == 0
    ends = [
        (one["event"], one["principal"], one["owner"], one["member"], one["role"], one["kinds"])
        for one in rows(gateway, "audit show", "records", "--project", team.shared)
        if one["event"] in ("gave-up", "unshared")
    ]
    alice = owner(team.alice)
    assert ends == [
        ("gave-up", dave, alice, dave, "reader", "['passphrase']"),
        ("unshared", alice, alice, dave, "writer", "['invitation']"),
    ]


def why(who: Person, line: str) -> Result:
    settings = ["--config", str(who.gateway.root / "gateway.toml"), "--json"]
    return run([str(bindir() / "enc-gateway"), "why", *settings, who.fingerprint, *line.split()])


WHY = [
    ("bob", "mount {shared}", 0, "is a writer of {shared}"),
    ("carol", "mount {shared}", 0, "is a reader of {shared}"),
    ("bob", "rm {shared}", 77, "is a writer of {shared}"),
    ("bob", "share {shared} {dave}", 77, "is a writer of {shared}"),
    ("dave", "mount {shared}", 66, "has no slot in {shared}"),
    ("dave", "rm {shared}", 66, "has no slot in {shared}"),
    ("dave", "mount {alice}/none", 66, "there is no project {alice}/none"),
    ("alice", "share plan", 0, ""),
    ("alice", "share plan {bob}", 64, ""),
    ("alice", "mount {shared}", 0, ""),
    ("alice", "unshare plan {dave}", 64, ""),
]


@pytest.mark.parametrize(("name", "line", "status", "membership"), WHY)
def test_why_says_what_a_member_gets_and_what_they_are(
    team: Team, name: str, line: str, status: int, membership: str
) -> None:
    names = {"shared": team.shared, **{one: owner(getattr(team, one)) for one in ("alice", "bob", "dave")}}
    who, line, membership = getattr(team, name), line.format(**names), membership.format(**names)
    told = why(who, line)
    steps = told.json["steps"]
    assert isinstance(steps, list) and told.status == told.json["exit"] == status, told
    assert [membership in str(one["says"]) for one in steps if one["rule"] == "membership"] == [True] * bool(membership)
    if status:
        got = who.ssh(line)
        assert got.status == status and str(steps[-1]["says"]) in got.err, (steps[-1], got)


def test_where_sharing_is_off_one_line_says_so_and_why_names_the_key(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway(**{"projects.share": ""})
    alice, bob = gateway.person("alice", "alice"), gateway.person("bob", "bob")
    alice.new("plan")
    for who, line in ((alice, "share plan bob"), (bob, "accept alice/plan"), (bob, "accept carol/plan")):
        one_line(who.ssh(line, stdin=PASSPHRASE + "\n"), 77, "you may not share projects here")
        told = why(who, line)
        assert "projects.share" in str(told.json["steps"]) and told.status == 77, told
    assert alice.ssh("share", "plan").status == 0, "listing shares nothing"


def findings(gateway: Gateway, subject: str) -> list[dict[str, str]]:
    found = json.loads(admin(gateway, "doctor", "--json").out)["findings"]
    return [one for one in found if one["subject"] == subject]


def link_of(team: Team, who: Person) -> Path:
    directory = Path(links.directory(str(who.gateway.vaults), _principal(who)))
    return directory / _principal(team.alice).directory / team.project


def _principal(who: Person) -> Principal:
    return Principal.of(owner(who))


def test_sweep_mends_what_members_find_and_doctor_names_it(team: Team) -> None:
    gateway, bob, dave = team.alice.gateway, team.bob, team.dave
    admin(gateway, "sweep")
    assert [one["level"] for one in findings(gateway, "members")] == ["OK"]
    link_of(team, bob).unlink()
    link_of(team, team.carol).write_text("writer \n")
    stray = link_of(team, dave)
    gateway.as_account("mkdir", "-p", str(stray.parent))
    gateway.as_account("tee", str(stray), stdin="writer \n")
    one_line(bob.ssh("mount", team.shared, stdin=SECRET + "\n"), 66, "you have no project")
    one_line(dave.ssh("mount", team.shared, stdin=SECRET + "\n"), 66, "you have no project")
    lost, missing = findings(gateway, "members")
    assert f"{owner(dave)}'s to {team.shared}" in lost["state"] and lost["fix"] == "enc-gateway sweep"
    assert f"{owner(bob)}'s to" in missing["state"] and f"{owner(team.carol)}'s to" in missing["state"]
    done = admin(gateway, "sweep")
    assert done.status == 0 and "put back: 2 members' links" in done.out and "1 member's link that led" in done.out
    assert not stray.exists() and link_of(team, team.carol).read_text().startswith("reader")
    with bob.mounted(team.shared, SECRET):
        assert admin(gateway, "sweep").out.strip() == "nothing to remove"


def test_removed_and_restored_it_has_its_members_again(team: Team, ground: Path) -> None:
    gateway, alice, bob = team.alice.gateway, team.alice, team.bob
    backup = ground / "backup"
    assert admin(gateway, "backup", str(backup)).status == 0
    assert not list(backup.rglob(links.DIRECTORY)), "they are made anew from the slots"
    assert alice.ssh("rm", team.project, "--yes").status == 0
    assert team.shared not in listed(bob)
    assert "led nowhere" in admin(gateway, "sweep").out
    assert alice.ssh("trash", "restore", team.project).status == 0
    assert team.shared in listed(bob)
    done = admin(gateway, "restore", str(backup), owner(alice), team.project, "--as", "again")
    said = f"members that it had when it was copied: {owner(bob)} (writer), {owner(team.carol)} (reader)"
    assert said in done.out, done
    with bob.mounted(f"{owner(alice)}/again", SECRET):
        assert team.carol.ssh("mount", f"{owner(alice)}/again", stdin="wrong\n").status == 77
    assert alice.ssh("mv", "again", "anew").status == 0
    assert f"{owner(alice)}/anew" in listed(bob) and f"{owner(alice)}/again" not in listed(bob)
    assert alice.ssh("rm", "anew", "--yes").status == 0


def test_revoking_a_member_s_key_says_what_remains_and_doctor_what_nobody_opens(
    make_gateway: Callable[..., Gateway],
) -> None:
    gateway = make_gateway()
    alice, bob = gateway.person("alice", "alice"), gateway.person("bob", "bob")
    alice.new("plan")
    code = invite(alice, "plan", "bob")
    assert bob.ssh("accept", "alice/plan", stdin=code + "\n" + signed_twice(bob, "alice/plan")).status == 0
    assert "among them" not in admin(gateway, "key", "revoke", alice.fingerprint).out
    assert [one["level"] for one in findings(gateway, "unlocking")] == ["OK"], "bob opens it"
    done = admin(gateway, "key", "revoke", bob.fingerprint, "--json")
    assert json.loads(done.out)["slots"] == ["alice/plan (key of bob)"]
    assert json.loads(done.out)["member_of"] == ["alice/plan"]
    (finding,) = findings(gateway, "unlocking")
    assert finding["level"] == "WARN" and "alice/plan" in finding["state"]


def test_a_killed_principal_holds_nothing_of_others_either(team: Team) -> None:
    with team.bob.mounted(team.shared, SECRET) as held:
        done = admin(team.alice.gateway, "sessions", "kill", "--principal", owner(team.bob))
        assert done.status == 0 and "everything in it is locked" in done.out
        held.wait()


def test_the_prompt_completes_what_is_shared_where_a_command_may_name_it(team: Team) -> None:
    prompt = team.bob.terminal()
    prompt.expect("enc> ")
    prompt.send(f"share {owner(team.alice)}\t\n")
    assert f"share {team.shared}" in prompt.expect("MEMBER")
    prompt.expect("enc> ")
    prompt.send(f"rm {owner(team.alice)}\t\n")
    assert team.shared not in prompt.expect("enc> ")
    prompt.close()
