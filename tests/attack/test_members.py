"""What members of a shared project try over two connections at once, and after they have left it."""

from __future__ import annotations

import os
import signal
import time
from contextlib import ExitStack, nullcontext, suppress

import pytest

from tests.harness import PASSPHRASE, Gateway, Result, eventually
from tests.life import session
from tests.stock import Speaker
from tests.teams import SECRET, Team, accept, formed, invite, owner

WITHIN = 20.0
MEMBERS_HOLDS = 28


@pytest.fixture(scope="module")
def team(gateway: Gateway) -> Team:
    return formed(gateway)


def slots(team: Team) -> dict[str, object]:
    """By name, what the owner sees of each slot."""
    found = team.alice.ssh("slots", team.project, "--json").json["slots"]
    assert isinstance(found, list)
    return {one["slot"]: (one["principal"], one["kind"], one["role"], one["created"]) for one in found}


@pytest.mark.parametrize("live", [False, True])
def test_a_writer_who_is_a_reader_by_now_does_not_come_in_by_a_prompt_of_before(team: Team, live: bool) -> None:
    """The new slot has the old one's name, and, if they like, its passphrase."""
    alice, bob = team.alice, team.bob
    before = slots(team).keys()
    with alice.mounted(team.project) if live else nullcontext():
        terminal = bob.terminal("mount", team.shared)
        terminal.expect(f"Passphrase of {team.shared}")
        assert alice.ssh("unshare", team.project, owner(bob)).status == 0
        assert accept(bob, team.shared, invite(alice, team.project, owner(bob), "--read")).status == 0
        assert slots(team).keys() == before
        terminal.send(SECRET + "\n")
        try:
            terminal.expect("changed meanwhile")
        finally:
            terminal.close()
        with bob.mounted(team.shared, SECRET):
            assert bob.ssh("run", team.shared, "--", "touch", "new").status != 0
    assert alice.ssh("unshare", team.project, owner(bob)).status == 0
    assert accept(bob, team.shared, invite(alice, team.project, owner(bob))).status == 0


@pytest.mark.parametrize("command", ["slot rm", "passwd"])
def test_a_member_does_not_change_a_slot_that_got_the_name_of_theirs(team: Team, command: str) -> None:
    """They wait at a question, remove their slot on another connection, and the owner adds one."""
    alice, bob = team.alice, team.bob
    before = set(slots(team))
    done = bob.ssh("slot", "add", team.shared, "passphrase", stdin=f"{SECRET}\nanother of bob's\n")
    assert done.status == 0, done
    (name,) = set(slots(team)) - before
    terminal = bob.terminal(*command.split(), team.shared, *([name] if command == "slot rm" else []))
    terminal.expect(f"Passphrase of {team.shared}")
    if command == "passwd":
        terminal.send("another of bob's\n")
        terminal.expect("New passphrase")
    assert bob.ssh("slot", "rm", team.shared, name, stdin=SECRET + "\n").status == 0
    done = alice.ssh("slot", "add", team.project, "passphrase", stdin=f"{PASSPHRASE}\nanother of alice's\n")
    assert done.status == 0 and name in slots(team), done
    now = slots(team)
    if command == "passwd":
        terminal.send("a new one of bob's\n")
        terminal.expect("again")  # what is typed ahead of a question for a secret is thrown away
        terminal.send("a new one of bob's\n")
    else:
        terminal.send(SECRET + "\n")
    terminal.wait(WITHIN)
    assert slots(team) == now
    assert alice.ssh("slot", "rm", team.project, name, stdin=PASSPHRASE + "\n").status == 0


@pytest.mark.parametrize("others", [True, False])
def test_when_unshare_returns_nothing_of_the_member_goes_on(team: Team, others: bool) -> None:
    """Also a program that ignores what asks it to end, and has the time that a usual one gets for that."""
    alice, bob = team.alice, team.bob
    stubborn = "'trap : TERM HUP INT; echo up; while :; do echo x >>ticks; sleep 0.05; done'"

    def ticks() -> Result:
        return alice.ssh("run", team.project, "--", "wc", "-c", "ticks")

    with alice.mounted(team.project) if others else nullcontext(), bob.mounted(team.shared, SECRET):
        running = bob.hold("run", team.shared, "--", "sh", "-c", stubborn)
        running.read_until("up")
        assert alice.ssh("unshare", team.project, owner(bob)).status == 0
        if others:
            first = ticks()
            time.sleep(0.5)
            assert first.status == 0 and ticks().out == first.out
        else:
            assert not alice.ssh("status", "--json").json["sessions"]
        assert running.wait(WITHIN).status == 69
    assert accept(bob, team.shared, invite(alice, team.project, owner(bob))).status == 0


def test_a_member_who_holds_it_as_often_as_they_can_keeps_the_owner_from_nothing(team: Team) -> None:
    with ExitStack() as held:
        for _ in range(MEMBERS_HOLDS):
            held.enter_context(team.bob.mounted(team.shared, SECRET))
        refused = team.bob.ssh("mount", team.shared, stdin=SECRET + "\n")
        assert refused.status == 75 and f"held by {MEMBERS_HOLDS} channels" in refused.err, refused
        with team.alice.mounted(team.project):
            assert team.alice.ssh("unmount", team.project, "--all").status == 0


def test_who_has_left_can_use_a_project_of_that_name(team: Team) -> None:
    """Until the host starts anew, the run directory knows whose sessions one has held."""
    dave, name = team.dave, owner(team.alice)
    assert accept(dave, team.shared, invite(team.alice, team.project, owner(dave))).status == 0
    with dave.mounted(team.shared, SECRET):
        assert dave.ssh("leave", team.shared).status == 0
    dave.new(name)
    with dave.mounted(name):
        assert dave.ssh("run", name, "--", "touch", "own").status == 0
        done = dave.sftp(f"ls -1 {name}", f"cd {name}", "mkdir made", "ls -1")
        assert done.status == 0 and "own" in done.out and "made" in done.out, done


OPEN, READ, SETSTAT, FSETSTAT, REMOVE, MKDIR, RMDIR, RENAME, SYMLINK, EXTENDED = 3, 5, 9, 10, 13, 14, 15, 18, 20, 200


def changes(speaker: Speaker, at: str) -> dict[str, int]:
    """Try each change in a directory with the files 0 to 9 and the directory d; the statuses, 0 or -1 for done."""
    opened = speaker.ask(OPEN, f"{at}/0", 1, 0).handle
    requests: dict[str, tuple[str | bytes | int, ...]] = {
        "open to write": (OPEN, f"{at}/0", 2, 0),
        "open to make": (OPEN, f"{at}/made", 0x1A, 0),
        "fsetstat": (FSETSTAT, opened, 4, 0o700),
        "setstat": (SETSTAT, f"{at}/1", 4, 0o700),
        "truncate": (SETSTAT, f"{at}/2", 1, 0, 0),
        "times": (SETSTAT, f"{at}/3", 8, 1, 1),
        "lsetstat": (EXTENDED, "lsetstat@openssh.com", f"{at}/4", 8, 1, 1),
        "hardlink": (EXTENDED, "hardlink@openssh.com", f"{at}/5", f"{at}/linked"),
        "rename": (RENAME, f"{at}/6", f"{at}/renamed"),
        "posix-rename": (EXTENDED, "posix-rename@openssh.com", f"{at}/7", f"{at}/8"),
        "remove": (REMOVE, f"{at}/9"),
        "mkdir": (MKDIR, f"{at}/made-d", 0),
        "rmdir": (RMDIR, f"{at}/d"),
        "symlink": (SYMLINK, "/etc/passwd", f"{at}/symlink"),
    }
    return {name: speaker.ask(int(kind), *fields).code for name, (kind, *fields) in requests.items()}


@pytest.mark.parametrize("own_first", [False, True], ids=["the first session", "another session"])
def test_a_reader_changes_nothing_by_raw_sftp_and_has_no_handle_after_unshare(team: Team, own_first: bool) -> None:
    """What a writer does, so the requests are right; also where the reader's own session comes first."""
    alice, bob, carol, where = team.alice, team.bob, team.carol, f"raw-{own_first}"
    at, tree = f"/projects/{team.shared}/{where}", ("run", "plan", "--", "find", where, "-printf", "'%p %m %s %T@ %n;'")
    if own_first:
        carol.new("mine")
    with (
        alice.mounted(team.project),
        bob.mounted(team.shared, SECRET),
        carol.mounted("mine") if own_first else nullcontext(),
        carol.mounted(team.shared, SECRET),
        Speaker(carol.argv("-s", "sftp")) as reads,
    ):
        made = f"'mkdir -p {where}/d; cd {where}; for i in 0 1 2 3 4 5 6 7 8 9; do echo x >$i; done'"
        assert alice.ssh("run", team.project, "--", "sh", "-c", made).status == 0
        if own_first:
            assert reads.ask(MKDIR, "/projects/mine/made", 0).code == 0
        before = alice.ssh(*tree).out
        refused = changes(reads, at)
        assert all(code > 0 for code in refused.values()), refused
        assert alice.ssh(*tree).out == before
        handle = reads.ask(OPEN, f"{at}/0", 1, 0).handle
        with Speaker(bob.argv("-s", "sftp")) as writes:
            done = changes(writes, at)
        assert {name for name, code in done.items() if code > 0} == {"hardlink"}, done  # off, unless configured
        assert alice.ssh("unshare", team.project, owner(carol)).status == 0
        if own_first:  # the channel goes on for what is the reader's own
            assert reads.ask(READ, handle, 0, 0, 9).code > 0
            assert reads.ask(OPEN, f"{at}/0", 1, 0).code > 0
        else:
            with pytest.raises((AssertionError, BrokenPipeError)):
                reads.ask(READ, handle, 0, 0, 9)
    assert accept(carol, team.shared, invite(alice, team.project, owner(carol), "--read")).status == 0


@pytest.mark.parametrize("live", [False, True], ids=["begins a session", "joins one"])
def test_a_front_that_is_killed_at_any_moment_of_a_mount_leaves_nothing_unlocked(team: Team, live: bool) -> None:
    """On a connection with a session of its own, between which and the view are a starter, a proof and a join."""
    alice, bob, gateway = team.alice, team.bob, team.gateway

    def holders() -> list[str]:
        found = alice.ssh("status", "--json").json["sessions"]
        assert isinstance(found, list)
        return [one["principal"] for session in found for one in session["holders"]]

    def killed(moment: int, shared: tuple[str, ...]) -> int:
        """How many fronts of a mount were killed some time after the first was there."""
        there = set(gateway.processes())

        def fronts() -> list[int]:
            new = {pid: args for pid, args in gateway.processes().items() if pid not in there}
            return [pid for pid, args in new.items() if "rshell/__main__.py" in args]

        held = bob.hold("mount", team.shared, stdin=SECRET + "\n", extra=shared)
        eventually(lambda: fronts() or held.process.poll() is not None, WITHIN)
        time.sleep(0.04 * moment)
        found = fronts()
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        held.end()
        return len(found)

    expected = [owner(alice)] if live else []
    with alice.mounted(team.project) if live else nullcontext(), session(bob) as (_, shared):
        total = 0
        for moment in range(8):
            total += killed(moment, shared)
            bob.ssh("unmount", team.shared, extra=shared)  # for when it was quicker
            eventually(lambda: holders() == expected, WITHIN)
        assert total
    with alice.mounted(team.project):
        assert alice.ssh("run", team.project, "--", "true").status == 0
    eventually(lambda: not gateway.leftovers(), WITHIN)
