"""Several machines hold one live project: who joins, who leaves with what, and that the last one's end is the lock."""

from __future__ import annotations

import itertools
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.harness import (
    PASSPHRASE,
    PROMPT,
    Gateway,
    Held,
    Person,
    Result,
    alive,
    eventually,
    open_files,
    parent,
    stays,
)
from tests.laptop import kill
from tests.laptop import laptop as machine
from tests.life import holders_in_status, sessions_in_status
from tests.system.test_revocation import PROMISED, admin, renamed_over

_numbers = itertools.count(1)
SEEN_WITHIN = 5
"""Seconds for which sshfs may answer from its cache (client/mount/sshfs.py)."""
STUBBORN = "while :; do echo tick; sleep 0.2; done"


@pytest.fixture
def laptop(gateway: Gateway) -> Person:
    """One of a person's two machines, with a project."""
    number = next(_numbers)
    who = gateway.person(f"laptop{number}-{os.getpid()}", f"duo{number}")
    who.new("work")
    return who


@pytest.fixture
def desktop(gateway: Gateway, laptop: Person) -> Person:
    """The other, with a key of its own."""
    return gateway.person(laptop.name.replace("laptop", "desktop"), principal_of(laptop))


def principal_of(who: Person) -> str:
    return "duo" + who.name.removeprefix("laptop").removeprefix("desktop").partition("-")[0]


def keys(who: Person) -> list[object]:
    return [one["fingerprint"] for one in holders_in_status(who)]


def is_locked(who: Person) -> bool:
    return not sessions_in_status(who)


def events(who: Person, event: str, **fields: object) -> list[dict[str, object]]:
    return who.gateway.events(event, principal=principal_of(who), **fields)


def write(who: Person, text: str) -> Result:
    return who.ssh("run", "work", "--", "tee", "file", stdin=text)


def read(who: Person) -> str:
    return who.ssh("run", "work", "--", "cat", "file").out


# Joining


def test_a_second_machine_joins_and_both_work_in_one_view(laptop: Person, desktop: Person) -> None:
    with laptop.mounted("work") as first:
        write(laptop, "from the laptop")
        with desktop.mounted("work") as second:
            (session,) = sessions_in_status(laptop)
            assert f"unlocked work in session {session['id']}" in first.said
            assert f"unlocked work in session {session['id']}" in second.said
            assert read(desktop) == "from the laptop"
            write(desktop, "from the desktop")
            assert read(laptop) == "from the desktop"
            assert keys(laptop) == [laptop.fingerprint, desktop.fingerprint]
            assert len(events(laptop, "unlocked")) == 1, "there is one view"
            (joined,) = events(laptop, "joined")
            about = (joined["project"], joined["fingerprint"], joined["session"])
            assert about == ("work", desktop.fingerprint, session["id"])
            assert f"also held by {principal_of(laptop)} from 127.0.0.1" in desktop.ssh("status").out


def test_a_machine_with_the_same_key_joins_as_well(laptop: Person) -> None:
    with laptop.mounted("work"), laptop.mounted("work") as second:
        assert keys(laptop) == [laptop.fingerprint] * 2
        second.end()
        eventually(lambda: len(keys(laptop)) == 1)


def test_a_wrong_passphrase_joins_nothing_and_counts(laptop: Person, desktop: Person) -> None:
    with laptop.mounted("work"):
        wrong = desktop.ssh("mount", "work", stdin="not the passphrase\n")
        assert (wrong.status, wrong.out, "wrong passphrase" in wrong.err) == (77, "", True)
        (failed,) = events(laptop, "unlock-failed")
        assert (failed["reason"], failed["fingerprint"]) == ("wrong-secret", desktop.fingerprint)
        assert keys(laptop) == [laptop.fingerprint]
        for _ in range(3):
            assert desktop.ssh("mount", "work", stdin="wrong again\n").status == 77
        with desktop.mounted("work") as second:
            second.kill(signal.SIGTERM)
            assert "after wrong passphrases" in second.wait().err


def test_a_connection_that_has_the_project_does_not_join_it_again(laptop: Person, place: Path) -> None:
    shared = ("-o", "ControlMaster=auto", "-o", f"ControlPath={place}/h{next(_numbers)}")
    with laptop.mounted("work", extra=shared):
        again = laptop.ssh("mount", "work", stdin=PASSPHRASE + "\n", extra=shared)
        assert (again.status, "is unlocked already by session" in again.err) == (75, True)


# Leaving


@pytest.mark.parametrize("who_goes", ["first", "second"])
def test_the_view_goes_on_when_one_machine_drops_and_is_locked_with_the_last(
    laptop: Person, desktop: Person, who_goes: str
) -> None:
    with laptop.mounted("work") as first, desktop.mounted("work") as second:
        write(laptop, "content")
        goes, stays_, other = (first, second, desktop) if who_goes == "first" else (second, first, laptop)
        gone = laptop if who_goes == "first" else desktop
        goes.kill()
        eventually(lambda: keys(other) == [other.fingerprint])
        (left,) = events(laptop, "left")
        assert (left["project"], left["reason"], left["fingerprint"]) == ("work", "hangup", gone.fingerprint)
        assert read(other) == "content"
        (session,) = sessions_in_status(other)
        assert (session["fingerprint"], session["anchor"]) == (other.fingerprint, "mount")
        stays(lambda: stays_.process.poll() is None, 1)
        stays_.kill()
        eventually(lambda: is_locked(laptop))
        (locked,) = [one for one in events(laptop, "locked") if one["session"] == session["id"]]
        assert (locked["reason"], locked["forced"]) == ("hangup", False)


@pytest.mark.parametrize("who_goes", ["first", "second"])
def test_unmount_ends_one_s_own_hold_and_says_for_whom_it_stays_unlocked(
    laptop: Person, desktop: Person, who_goes: str
) -> None:
    with laptop.mounted("work") as first, desktop.mounted("work") as second:
        is_first = who_goes == "first"
        goes, stays_ = (first, second) if is_first else (second, first)
        gone, other = (laptop, desktop) if is_first else (desktop, laptop)
        done = gone.ssh("unmount", "work")
        assert done.status == 0
        assert done.out.startswith(f"left work; it stays unlocked for {principal_of(laptop)} from 127.0.0.1 since ")
        ended = goes.wait()
        assert ended.status == 0 and "left work: as you asked; it stays unlocked for" in ended.out
        assert stays_.process.poll() is None and keys(other) == [other.fingerprint]
        assert write(other, "x").status == 0
        answer = other.ssh("unmount", "work", "--json").json
        assert answer == {"project": "work", "state": "locked"}
        assert stays_.wait().status == 0
        assert is_locked(laptop)


def test_unmount_json_has_those_for_whom_it_stays(laptop: Person, desktop: Person) -> None:
    with laptop.mounted("work"), desktop.mounted("work"):
        answer = desktop.ssh("unmount", "work", "--json").json
        assert (answer["project"], answer["state"]) == ("work", "unlocked")
        assert isinstance(answer["for"], list)
        (other,) = answer["for"]
        assert (other["fingerprint"], other["address"]) == (laptop.fingerprint, "127.0.0.1")


def test_unmount_all_locks_it_for_everybody(laptop: Person, desktop: Person) -> None:
    with laptop.mounted("work") as first, desktop.mounted("work") as second:
        done = desktop.ssh("unmount", "work", "--all")
        assert (done.status, done.out) == (0, "locked work\n")
        assert is_locked(laptop)
        for one in (first, second):
            ended = one.wait()
            assert ended.status == 0 and "locked work: as you asked" in ended.out


def test_logout_leaves_and_logout_all_ends(laptop: Person, desktop: Person) -> None:
    with laptop.mounted("work") as first, desktop.mounted("work") as second:
        done = laptop.ssh("logout")
        assert done.status == 0 and "it stays open for" in done.out
        assert first.wait().status == 0
        assert second.process.poll() is None and keys(desktop) == [desktop.fingerprint]
        with laptop.mounted("work") as again:
            assert keys(desktop) == [desktop.fingerprint, laptop.fingerprint]
            done = laptop.ssh("logout", "--all")
            assert done.status == 0 and done.out.startswith("closed s-")
            assert is_locked(laptop)
            assert (again.wait().status, second.wait().status) == (0, 0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_ctrl_c_and_a_closed_window_end_the_holder_at_a_terminal_alone(
    laptop: Person, desktop: Person, number: signal.Signals
) -> None:
    for who, other in ((laptop, desktop), (desktop, laptop)):
        with laptop.mounted("work") if who is desktop else desktop.mounted("work") as held:
            terminal = who.terminal("mount", "work")
            terminal.expect("Passphrase of work: ")
            terminal.send(PASSPHRASE + "\n")
            terminal.expect("unlocked work")
            eventually(lambda other=other: len(keys(other)) == 2)  # type: ignore[misc]
            if number == signal.SIGINT:
                terminal.send("\x03")
                assert terminal.wait() == 0
            else:
                terminal.close()
            eventually(lambda other=other: keys(other) == [other.fingerprint])  # type: ignore[misc]
            assert held.process.poll() is None and write(other, "x").status == 0


def test_a_first_machine_at_a_terminal_leaves_by_ctrl_c_with_0(laptop: Person, desktop: Person) -> None:
    terminal = laptop.terminal("mount", "work")
    terminal.expect("Passphrase of work: ")
    terminal.send(PASSPHRASE + "\n")
    terminal.expect("unlocked work")
    with desktop.mounted("work") as second:
        terminal.send("\x03")
        assert terminal.wait() == 0, "sshd's channel is closed though the session lives"
        stays(lambda: second.process.poll() is None, 1)
        assert write(desktop, "x").status == 0
        assert keys(desktop) == [desktop.fingerprint]


def test_a_prompt_leaves_its_session_to_who_joined_it(laptop: Person, desktop: Person) -> None:
    terminal = laptop.terminal()
    terminal.expect(PROMPT)
    terminal.send("mount work\r")
    terminal.expect(": ")
    terminal.send(PASSPHRASE + "\r")
    terminal.expect("unlocked work")
    terminal.expect(PROMPT)
    with desktop.mounted("work") as second:
        terminal.send("exit\r")
        assert terminal.wait() == 0
        eventually(lambda: keys(desktop) == [desktop.fingerprint])
        assert second.process.poll() is None and write(desktop, "x").status == 0


def test_a_prompt_joins_what_another_machine_has_and_leaves_it_at_its_end(laptop: Person, desktop: Person) -> None:
    with laptop.mounted("work") as first:
        terminal = desktop.terminal()
        terminal.expect(PROMPT)
        terminal.send("mount work\r")
        terminal.expect(": ")
        terminal.send(PASSPHRASE + "\r")
        terminal.expect("unlocked work")
        terminal.expect(PROMPT)
        (joined,) = events(laptop, "joined")
        assert joined["fingerprint"] == desktop.fingerprint and str(joined["via"]).startswith("s-")
        terminal.send("unmount work\r")
        terminal.expect("left work; it stays unlocked for")
        terminal.expect(PROMPT)
        terminal.send("mount work\r")
        terminal.expect(": ")
        terminal.send(PASSPHRASE + "\r")
        terminal.expect("unlocked work")
        terminal.expect(PROMPT)
        first.kill()
        eventually(lambda: laptop.gateway.events("left", fingerprint=laptop.fingerprint))
        terminal.send("run work -- echo still here\r")
        terminal.expect("still here")
        terminal.expect(PROMPT)
        terminal.send("exit\r")
        assert terminal.wait() == 0
        assert is_locked(laptop)


def test_a_revoked_key_ends_its_holder_and_its_programs_alone(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway()
    one, two = gateway.person("one", "duo"), gateway.person("two", "duo")
    one.new("work")
    with one.mounted("work") as first, two.mounted("work") as second:
        theirs = one.hold("run", "work", "--", "sh", "-c", shlex.quote(STUBBORN))
        mine = two.hold("run", "work", "--", "sh", "-c", shlex.quote(STUBBORN))
        try:
            theirs.read_until("tick")
            mine.read_until("tick")
            renamed_over(gateway.authorized_keys, one)
            ended = first.wait(PROMISED)
            assert ended.status == 75 and "your key is no longer authorized" in ended.out
            assert theirs.wait(PROMISED).status == 77
            (left,) = gateway.events("left")
            assert (left["reason"], left["fingerprint"]) == ("revoked", one.fingerprint)
            mine.said = ""
            mine.read_until("tick")
            assert second.process.poll() is None and keys(two) == [two.fingerprint]
        finally:
            theirs.end()
            mine.end()


def test_who_leaves_takes_its_programs_along_and_nobody_else_s(laptop: Person, desktop: Person) -> None:
    with laptop.mounted("work") as first, desktop.mounted("work"):
        theirs, mine = [who.hold("run", "work", "--", "sh", "-c", shlex.quote(STUBBORN)) for who in (laptop, desktop)]
        try:
            for program in (theirs, mine):
                program.read_until("tick")
            first.kill()
            assert theirs.wait().status == 69
            mine.said = ""
            mine.read_until("tick")
        finally:
            theirs.end()
            mine.end()


def test_what_the_one_who_leaves_held_alone_is_locked(laptop: Person, desktop: Person, place: Path) -> None:
    shared = ("-o", "ControlMaster=auto", "-o", f"ControlPath={place}/h{next(_numbers)}")
    laptop.new("other")
    first = laptop.hold("session", extra=shared)
    try:
        first.read_until("open until you close it")
        for project in ("work", "other"):
            assert laptop.ssh("mount", project, stdin=PASSPHRASE + "\n", extra=shared).status == 0
        with desktop.mounted("work") as second:
            (_, joined) = holders_in_status(desktop)
            assert joined["projects"] == ["work"]
            first.end()
            eventually(lambda: keys(desktop) == [desktop.fingerprint])
            (session,) = sessions_in_status(desktop)
            assert [view["project"] for view in session["views"]] == ["work"]  # type: ignore[attr-defined]
            (locked,) = [one for one in events(laptop, "locked") if one["session"] == session["id"]]
            assert (locked["project"], locked["reason"]) == ("other", "hangup")
            assert second.process.poll() is None and write(desktop, "x").status == 0
    finally:
        first.end()


def test_sshd_closes_the_channel_of_a_first_machine_that_left_on_a_connection_that_stays(
    laptop: Person, desktop: Person, place: Path
) -> None:
    """Whoever had the channel's descriptors would keep it open."""
    shared = ("-o", "ControlMaster=auto", "-o", "ControlPersist=60", "-o", f"ControlPath={place}/h{next(_numbers)}")
    first = laptop.hold("mount", "work", stdin=PASSPHRASE + "\n", extra=shared)
    try:
        first.read_until("unlocked work")
        with desktop.mounted("work"):
            assert laptop.ssh("unmount", "work", extra=shared).status == 0
            assert first.wait(10).status == 0
            warden = int(str(sessions_record(laptop)["pid"]))
            assert not [one for one in open_files(warden) if one.startswith("/dev/pts")]
            bwrap = parent(warden)
            assert {os.readlink(f"/proc/{bwrap}/fd/{number}") for number in (0, 1, 2)} == {"/dev/null"}
    finally:
        first.end()
        subprocess.run(["ssh", *shared, *laptop.options, "-O", "exit", "gateway"], capture_output=True, check=False)


def sessions_record(who: Person) -> dict[str, object]:
    (one,) = [one for one in who.gateway.sessions() if one["principal"] == principal_of(who)]
    return one


def test_when_the_session_is_killed_all_who_hold_it_are_told(laptop: Person, desktop: Person) -> None:
    with laptop.mounted("work") as first, desktop.mounted("work") as second:
        done = admin(laptop.gateway, "sessions", "kill", str(sessions_in_status(laptop)[0]["id"]))
        assert done.status == 0
        for one in (first, second):
            ended = one.wait()
            assert ended.status == 75 and "locked work: your sysadmin ended the session" in ended.out
    with laptop.mounted("work") as first, desktop.mounted("work") as second:
        os.kill(int(str(sessions_record(laptop)["pid"])), signal.SIGKILL)
        for one in (first, second):
            ended = one.wait()
            assert ended.status == 75 and "was ended from outside" in ended.err
    assert is_locked(laptop)


def test_enc_gateway_sessions_shows_who_holds_what(laptop: Person, desktop: Person) -> None:
    with laptop.mounted("work"), desktop.mounted("work"):
        listed = admin(laptop.gateway, "sessions", "--json").json["sessions"]
        assert isinstance(listed, list)
        (session,) = [one for one in listed if one["principal"] == principal_of(laptop)]
        found = [(one["fingerprint"], one["projects"]) for one in session["holders"]]
        assert found == [(laptop.fingerprint, ["work"]), (desktop.fingerprint, ["work"])]


# A connection with a session of its own


@pytest.fixture
def shared(place: Path) -> tuple[str, ...]:
    return ("-o", "ControlMaster=auto", "-o", f"ControlPath={place}/h{next(_numbers)}")


@pytest.fixture
def own(desktop: Person, shared: tuple[str, ...]) -> Iterator[Held]:
    """`ssh gateway session` of the desktop, whose connection others share, as `enc` does it."""
    held = desktop.hold("session", "--json", extra=shared)
    held.read_until('"session"')
    yield held
    held.end()


def join(who: Person, shared: tuple[str, ...]) -> None:
    done = who.ssh("mount", "work", stdin=PASSPHRASE + "\n", extra=shared)
    assert (done.status, done.out) == (0, "unlocked work\n")


def test_on_a_connection_with_a_session_mount_returns_and_that_session_keeps_the_hold(
    laptop: Person, desktop: Person, own: Held, shared: tuple[str, ...]
) -> None:
    with laptop.mounted("work") as first:
        join(desktop, shared)
        own.read_until('"unlocked"')
        first.kill()
        eventually(lambda: laptop.gateway.events("left", fingerprint=laptop.fingerprint))
        assert write(desktop, "x").status == 0
        assert len(sessions_in_status(desktop)) == 2
        own.kill()
        eventually(lambda: is_locked(laptop))


def test_unmount_and_logout_on_such_a_connection_end_that_hold(
    laptop: Person, desktop: Person, own: Held, shared: tuple[str, ...]
) -> None:
    with laptop.mounted("work") as first:
        join(desktop, shared)
        assert "it stays unlocked for" in desktop.ssh("unmount", "work", extra=shared).out
        own.read_until('"left"')
        assert own.process.poll() is None and first.process.poll() is None
        join(desktop, shared)
        first.kill()
        eventually(lambda: len(events(laptop, "left")) == 2)
        assert desktop.ssh("logout", extra=shared).status == 0
        assert is_locked(laptop), "the last to hold it has left when `logout` returns"
        assert own.wait().status == 0


def test_a_session_that_keeps_a_hold_hears_that_it_was_locked(
    laptop: Person, desktop: Person, own: Held, shared: tuple[str, ...]
) -> None:
    with laptop.mounted("work"):
        join(desktop, shared)
        assert laptop.ssh("unmount", "work", "--all").status == 0
        own.read_until('"locked"')
        assert '"reason": "unmount"' in own.said
    with laptop.mounted("work"):
        join(desktop, shared)
        os.kill(
            int(str([one for one in sessions_in_status(laptop) if one["views"]] and warden_with_view(laptop))),
            signal.SIGKILL,
        )
        own.read_until('"reason": "failed"')
    eventually(
        lambda: laptop.gateway.events("session-closed", reason="found-dead") if sessions_in_status(laptop) else None
    )


def warden_with_view(who: Person) -> int:
    (one,) = [one for one in who.gateway.sessions() if one["principal"] == principal_of(who) and one["views"]]
    return int(str(one["pid"]))


# Idle


@pytest.fixture
def quick(make_gateway: Callable[..., Gateway]) -> Gateway:
    return make_gateway(**{"idle.session": "5", "idle.view": "5", "idle.warning": "2"})


def test_who_is_idle_leaves_and_who_works_stays(quick: Gateway) -> None:
    one, two = quick.person("one", "duo"), quick.person("two", "duo")
    one.new("work")
    with one.mounted("work") as first, two.mounted("work") as second:
        deadline = time.monotonic() + 30
        while first.process.poll() is None and time.monotonic() < deadline:
            assert two.ssh("run", "work", "--", "tee", "file", stdin="x").status == 0
            time.sleep(1)
        ended = first.wait()
        assert ended.status == 75
        assert "the session will be closed because it is idle" in ended.out
        assert "left work: idle for 5 s; it stays unlocked for" in ended.out
        assert second.process.poll() is None and keys(two) == [two.fingerprint]
        (left,) = quick.events("left")
        assert (left["reason"], left["fingerprint"]) == ("idle-session", one.fingerprint)


def test_file_i_o_through_one_s_own_sshfs_keeps_that_holder_and_not_the_other(quick: Gateway, tmp_path: Path) -> None:
    one, two = quick.person("one", "duo"), quick.person("two", "duo")
    one.new("work")
    mounts = one.sshfs("work", tmp_path / "one"), two.sshfs("work", tmp_path / "two")
    with one.mounted("work") as first, two.mounted("work") as second, mounts[0], mounts[1]:
        deadline = time.monotonic() + 30
        number = 0
        while first.process.poll() is None and time.monotonic() < deadline:
            number += 1
            (tmp_path / "two" / "file").write_text(str(number) * 1000)
            if number % 3 == 0:  # as often as `enc` asks
                os.statvfs(tmp_path / "one")
            time.sleep(1)
        assert first.process.poll() == 75
        assert second.process.poll() is None
        assert (tmp_path / "two" / "file").read_text() == str(number) * 1000
        eventually(lambda: not is_readable(tmp_path / "one" / "file"))


def is_readable(path: Path) -> bool:
    try:
        return bool(path.read_text())
    except OSError:
        return False


def test_use_of_a_project_of_another_session_keeps_one_s_own_session(quick: Gateway, shared: tuple[str, ...]) -> None:
    one, two = quick.person("one", "duo"), quick.person("two", "duo")
    one.new("work")
    own = two.hold("session", extra=shared)
    try:
        own.read_until("open until")
        with one.mounted("work") as first:
            join(two, shared)
            for _ in range(10):
                assert two.ssh("run", "work", "--", "tee", "file", stdin="x", extra=shared).status == 0
                time.sleep(1)
            assert first.process.poll() == 75, "the other was idle"
            assert own.process.poll() is None and keys_of_view(two) == [two.fingerprint]
            eventually(lambda: not sessions_in_status(two), 30)
            assert own.wait().status == 75
    finally:
        own.end()


def keys_of_view(who: Person) -> list[object]:
    (one,) = [one for one in sessions_in_status(who) if one["views"]]
    return [each["fingerprint"] for each in one["holders"]]  # type: ignore[attr-defined]


# Races and bounds


def test_a_front_that_is_killed_while_it_holds_is_a_holder_that_left(laptop: Person, desktop: Person) -> None:
    with laptop.mounted("work"), desktop.mounted("work"):
        fronts = [pid for pid, args in laptop.gateway.processes().items() if "rshell/__main__.py" in args]
        assert fronts
        for pid in fronts:
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: keys(laptop) == [laptop.fingerprint])


def test_joining_again_and_again_while_the_other_leaves_never_makes_a_dead_holder_or_a_second_view(
    laptop: Person, desktop: Person
) -> None:
    write_in = laptop.hold("mount", "work", stdin=PASSPHRASE + "\n")
    write_in.read_until("unlocked")
    last = write_in
    who = itertools.cycle((desktop, laptop))
    for _ in range(8):
        person = next(who)
        new = person.hold("mount", "work", stdin=PASSPHRASE + "\n")
        time.sleep(0.35)
        last.end()
        try:
            new.read_until("unlocked")
        except AssertionError:
            ended = new.wait()
            assert ended.status in (69, 75) and "try again" in ended.err, ended
            new = person.hold("mount", "work", stdin=PASSPHRASE + "\n")
            new.read_until("unlocked")
        assert write(person, "x").status == 0
        assert [view["project"] for one in sessions_in_status(person) for view in one["views"]] == ["work"]  # type: ignore[attr-defined]
        last = new
    last.end()
    eventually(lambda: is_locked(laptop))


def test_what_is_being_locked_is_not_joined(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway(**{"lock.grace": "8"})
    one, two = gateway.person("one", "duo"), gateway.person("two", "duo")
    one.new("work")
    with one.mounted("work") as first:
        program = one.hold("run", "work", "--", "sh", "-c", shlex.quote(f"trap '' TERM; {STUBBORN}"))
        program.read_until("tick")
        locking = one.hold("unmount", "work")
        try:
            eventually(lambda: "locking" in str(sessions_in_status(two)))
            refused = two.ssh("mount", "work", stdin=PASSPHRASE + "\n")
            assert (refused.status, "is being locked" in refused.err) == (75, True)
            assert locking.wait().status == 0 and first.wait().status == 0
            assert not gateway.events("joined")
            with two.mounted("work"):
                assert keys(two) == [two.fingerprint]
        finally:
            program.end()
            locking.end()


def test_many_join_at_once(laptop: Person, desktop: Person) -> None:
    with laptop.mounted("work"):
        joined = [desktop.hold("mount", "work", stdin=PASSPHRASE + "\n") for _ in range(4)]
        try:
            for one in joined:
                one.read_until("unlocked")
            assert keys(laptop) == [laptop.fingerprint] + [desktop.fingerprint] * 4
        finally:
            for one in joined:
                one.end()
        eventually(lambda: keys(laptop) == [laptop.fingerprint])


def test_a_channel_that_holds_counts_as_a_session_and_the_view_as_one(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway(**{"limits.sessions": "2", "limits.views": "1"})
    who = gateway.person("one", "duo")
    who.new("work")
    with who.mounted("work"), who.mounted("work"):
        third = who.ssh("mount", "work", stdin=PASSPHRASE + "\n")
        assert (third.status, "you have 2 live sessions" in third.err) == (75, True)


def test_the_session_of_an_older_gateway_is_shown_and_not_joined(laptop: Person, desktop: Person) -> None:
    with laptop.mounted("work"):
        (record,) = (laptop.gateway.root / "run" / "sessions").glob(f"u-{principal_of(laptop)}/*/record.json")
        import json

        old = json.loads(record.read_text())
        del old["protocol"], old["holders"]
        record.write_text(json.dumps(old))
        assert len(sessions_in_status(desktop)) == 1
        again = desktop.ssh("mount", "work", stdin=PASSPHRASE + "\n")
        assert (again.status, "is unlocked already by session" in again.err) == (75, True)
        assert desktop.ssh("unmount", "work").out == "locked work\n"


def test_nothing_of_a_session_is_left_when_both_are_killed_at_once(laptop: Person, desktop: Person) -> None:
    with laptop.mounted("work") as first, desktop.mounted("work") as second:
        warden = int(str(sessions_record(laptop)["pid"]))
        first.kill()
        second.kill()
        eventually(lambda: not alive(warden), 5)
        eventually(lambda: is_locked(laptop))


# `enc` on two machines


def test_enc_mounts_one_project_on_two_machines_and_each_sees_what_the_other_writes(
    laptop: Person, desktop: Person
) -> None:
    with machine(laptop) as one, machine(desktop) as two:
        first, second = one.mount("work"), two.mount("work")
        (first / "from-one").write_text("one")
        (second / "from-two").write_text("two")
        eventually(lambda: (second / "from-one").exists() and (first / "from-two").exists(), SEEN_WITHIN + 2)
        assert (second / "from-one").read_text() == "one" and (first / "from-two").read_text() == "two"
        done = one.enc("unmount", "work", "--json")
        assert done.status == 0, done
        eventually(lambda: not one.entries())
        (second / "later").write_text("later")
        stays(lambda: (second / "later").read_text() == "later", 4)
        assert one.mount("work").joinpath("later").read_text() == "later"
        assert one.enc("logout").status == 0
        assert (second / "later").read_text() == "later"
        assert two.enc("logout").status == 0
        eventually(lambda: is_locked(laptop))


def test_enc_goes_on_when_the_other_machine_that_had_the_project_first_is_gone(laptop: Person, desktop: Person) -> None:
    with machine(laptop) as one, machine(desktop) as two:
        one.mount("work")
        second = two.mount("work")
        (second / "file").write_text("content")
        assert one.state.connection
        kill(one.state.connection.master)
        eventually(lambda: not one.entries(), 8)
        eventually(lambda: laptop.gateway.events("left", fingerprint=laptop.fingerprint))
        stays(lambda: (second / "file").read_text() == "content", 5)
