"""A gocryptfs, a warden or a disk that does not answer takes no way to end away, and holds up nobody else."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.harness import PASSPHRASE, Gateway, Held, Person, alive, bindir, eventually, need_root, parent, run, stays
from tests.life import SLACK, session, sessions_in_status, unlock

PROMISED = 5.0
"""Seconds for every way to end (docs/threat-model.md)."""
WATCHED = 15.0
"""Seconds until a session is gone whose warden does not answer."""

WRITER = "trap '' TERM; while :; do echo line >>log; sleep 0.1; done"
"""What a hung gocryptfs holds up in the kernel, and SIGTERM does not end."""


def sessions_words(gateway: Gateway, *words: str) -> list[str]:
    """`enc-gateway sessions WORDS`."""
    return [str(bindir() / "enc-gateway"), "sessions", "--config", str(gateway.root / "gateway.toml"), *words]


@pytest.fixture
def own(make_gateway: Callable[..., Gateway]) -> Gateway:
    need_root()
    return make_gateway()


def gocryptfs_of(gateway: Gateway) -> dict[int, int]:
    """The gocryptfs processes, and the warden of each."""
    found = gateway.session_processes().items()
    return {pid: parent(pid) for pid, args in found if args.startswith("/usr/bin/gocryptfs")}


@contextlib.contextmanager
def stopped(pids: list[int]) -> Iterator[None]:
    """SIGSTOP stands for a process that waits for a disk or a network."""
    handles = [os.pidfd_open(pid) for pid in pids]
    for handle in handles:
        signal.pidfd_send_signal(handle, signal.SIGSTOP)
    try:
        yield
    finally:
        for handle in handles:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, signal.SIGCONT)
            os.close(handle)


@contextlib.contextmanager
def writing(who: Person, project: str) -> Iterator[Held]:
    """`run` of the WRITER, which has written."""
    held = who.hold("run", project, "--", "sh", "-c", f'"{WRITER}"')
    try:
        eventually(lambda: who.ssh("run", project, "--", "test", "-s", "log").status == 0)
        yield held
    finally:
        held.end()


def in_sight(gateway: Gateway) -> bool:
    """Whether the mount namespace of any process of a session has a view."""
    for pid in gateway.session_processes():
        with contextlib.suppress(OSError):
            if "fuse.gocryptfs" in Path(f"/proc/{pid}/mountinfo").read_text():
                return True
    return False


IDLE = 4
"""Seconds, of the one who is idle."""


def test_every_way_to_end_locks_in_time_while_gocryptfs_hangs(own: Gateway) -> None:
    """Seven sessions hang at the same moment, each is ended in another way."""
    ways = ("unmount", "logout", "hangup", "revoked", "killed", "shutdown", "idle-view")
    people = {way: own.person(way) for way in ways}
    started: list[subprocess.Popen[bytes]] = []
    with contextlib.ExitStack() as stack:
        held: dict[str, Held] = {}
        for way, who in people.items():
            who.new("p")
            if way == "idle-view":
                assert who.ssh("idle", "p", str(IDLE)).status == 0
            held[way] = stack.enter_context(who.mounted("p"))
            if way != "idle-view":  # it would not be idle
                stack.enter_context(writing(who, "p"))
        wardens = {str(one["principal"]): int(str(one["pid"])) for one in own.sessions()}
        ids = {str(one["principal"]): str(one["id"]) for one in own.sessions()}
        servers = {warden: server for server, warden in gocryptfs_of(own).items()}
        stack.enter_context(stopped(list(servers.values())))

        def end(way: str) -> None:
            who = people[way]
            if way in ("unmount", "logout"):
                words = who.argv(way, *(["p"] if way == "unmount" else []))
                started.append(subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
            elif way == "hangup":
                held[way].kill()
            elif way == "revoked":
                blob = Path(f"{who.key}.pub").read_text().split()[1]
                lines = own.authorized_keys.read_text().splitlines(keepends=True)
                own.authorized_keys.write_text("".join(line for line in lines if blob not in line))
            elif way == "killed":
                words = sessions_words(own, "kill", ids[who.fingerprint])
                started.append(subprocess.Popen(words, stdout=subprocess.DEVNULL))
            elif way == "shutdown":
                os.kill(wardens[who.fingerprint], signal.SIGTERM)

        began = time.monotonic()
        for way in ("unmount", "logout", "hangup", "revoked", "shutdown", "killed"):
            end(way)
        limits = dict.fromkeys(ways, PROMISED + SLACK) | {"idle-view": PROMISED + IDLE + SLACK}
        gone: dict[str, float] = {}
        while len(gone) < len(ways):
            for way in set(ways) - set(gone):
                if not alive(servers[wardens[people[way].fingerprint]]):
                    gone[way] = time.monotonic() - began
            assert time.monotonic() - began < max(limits.values()), f"not locked: {set(ways) - set(gone)}"
            time.sleep(0.02)
        print(gone, time.monotonic() - began)
        assert not [way for way in ways if gone[way] > limits[way]], gone
        assert [one.wait(30) for one in started] == [0] * len(started)
        eventually(lambda: not own.leftovers())
    records = {str(one["reason"]): int(str(one["took_ms"])) for one in own.events("locked", project="p")}
    assert set(records) == set(ways)
    assert max(records.values()) < (PROMISED + SLACK) * 1000, records


def test_several_views_that_hang_end_together_and_requests_are_answered_meanwhile(own: Gateway) -> None:
    who = own.person("someone")
    for project in ("p", "q", "r"):
        who.new(project)
    with session(who) as (held, shared), contextlib.ExitStack() as stack:
        for project in ("p", "q"):
            unlock(who, project, shared)
            stack.enter_context(writing(who, project))
        servers = list(gocryptfs_of(own))
        stack.enter_context(stopped(servers))
        began = time.monotonic()
        ending = subprocess.Popen(who.argv("unmount", "p", extra=shared), stderr=subprocess.DEVNULL)
        eventually(lambda: "locking" in str(sessions_in_status(who, shared)), 2)
        assert who.ssh("run", "p", "--", "true", extra=shared).status == 75, "refused at once"
        closing = subprocess.Popen(who.argv("logout", extra=shared), stderr=subprocess.DEVNULL)
        eventually(lambda: who.ssh("mount", "r", stdin=PASSPHRASE + "\n", extra=shared).status == 75, 1.5)
        assert time.monotonic() - began < PROMISED
        eventually(lambda: not any(map(alive, servers)), PROMISED + SLACK)
        assert time.monotonic() - began < 1 + PROMISED + SLACK, "together, not one after the other"
        assert ending.wait(30) == 0 and closing.wait(30) == 0
        assert held.wait().status == 0
    locked = {str(one["project"]) for one in own.events("locked")}
    assert locked >= {"p", "q"}, "r as well where its mount came before the logout"
    eventually(lambda: not own.leftovers())


def test_a_warden_that_is_stopped_is_ended_from_outside(own: Gateway) -> None:
    """Two at the same moment: the client of one stays, that of the other goes."""
    people = [own.person(name) for name in ("stays", "goes")]
    for who in people:
        who.new("p")
    with contextlib.ExitStack() as stack:
        stays_, goes = [stack.enter_context(who.mounted("p")) for who in people]
        for who in people:
            stack.enter_context(writing(who, "p"))
        wardens = [int(str(one["pid"])) for one in own.sessions()]
        assert len(wardens) == 2
        began = time.monotonic()
        for warden in wardens:
            os.kill(warden, signal.SIGSTOP)
        goes.kill()
        eventually(lambda: not any(map(alive, wardens)), WATCHED + SLACK)
        eventually(lambda: not in_sight(own) and not gocryptfs_of(own), 2)
        assert time.monotonic() - began < WATCHED + SLACK
        assert stays_.wait().status != 0
    for who in people:
        assert "none" in who.ssh("whoami").out, "who looks clears its record away"
    eventually(lambda: not own.leftovers())
    eventually(lambda: not [args for args in own.processes().values() if "read -r" in args])
    for who in people:
        with who.mounted("p"):  # the vault is free, and nothing is torn
            assert who.ssh("run", "p", "--", "test", "-s", "log").status == 0
        assert who.fsck("p").status == 0


def test_a_warden_that_answers_again_is_left_alone(own: Gateway) -> None:
    who = own.person("someone")
    who.new("p")
    with who.mounted("p"):
        warden = own.warden()
        with stopped([warden]):
            time.sleep(5)
        stays(lambda: alive(warden), 8)
        assert who.ssh("unmount", "p").status == 0


DETACH = """
import os, sys
from gateway.base import syscalls
syscalls.setns(os.open(f"/proc/{sys.argv[1]}/ns/mnt", os.O_RDONLY), 0)
syscalls.umount(sys.argv[2], syscalls.MNT_DETACH)
"""


def test_a_view_that_root_unmounts_in_its_session_is_locked(own: Gateway) -> None:
    who = own.person("someone")
    who.new("p")
    with who.mounted("p") as held, writing(who, "p"):
        subprocess.run([sys.executable, "-c", DETACH, str(own.warden()), "/projects/p"], check=True)
        assert held.wait().status == 75
        (row,) = own.events("locked")
        assert (row["reason"], row["forced"]) == ("failed", True), "what had it open did not go on"
    eventually(lambda: not own.leftovers())


def test_those_who_connect_and_say_nothing_keep_nobody_waiting(own: Gateway) -> None:
    """More of them than the session's queue, its descriptors and the promised time have room for."""
    who = own.person("someone")
    who.new("p")
    with who.mounted("p") as held, contextlib.ExitStack() as stack:
        (path,) = (own.root / "run" / "sessions").glob("*/*/sock")
        silent = [stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)) for _ in range(900)]
        for one in silent:
            one.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                one.connect(str(path))
        assert who.ssh("status").status == 0
        assert (
            len(json.loads(subprocess.run(sessions_words(own, "--json"), capture_output=True).stdout)["sessions"]) == 1
        )
        assert select.select(silent[:1], [], [], 15)[0] and silent[0].recv(1) == b"", "it was given up"
        began = time.monotonic()
        assert who.ssh("unmount", "p").status == 0
        assert time.monotonic() - began < PROMISED + SLACK
        assert held.wait().status == 0


def test_without_its_watchdog_a_session_locks_in_order(own: Gateway) -> None:
    who = own.person("someone")
    who.new("p")
    with who.mounted("p") as held:
        (watchdog,) = (pid for pid, args in own.processes().items() if "late=none" in args)
        os.kill(watchdog, signal.SIGKILL)
        assert held.wait().status == 75
    assert own.events("locked", project="p", reason="killed", forced=False)
    eventually(lambda: not own.leftovers())


@pytest.fixture
def silent_and_busy(own: Gateway) -> Iterator[tuple[dict[str, object], dict[str, object]]]:
    """The records of two sessions, of which the first does not answer."""
    people = [own.person(name) for name in ("silent", "busy")]
    for who in people:
        who.new("p")
    with people[0].mounted("p"), people[1].mounted("p"):
        records = {str(one["principal"]): one for one in own.sessions()}
        silent, busy = (records[who.fingerprint] for who in people)
        with stopped([int(str(silent["pid"]))]):
            yield silent, busy
    eventually(lambda: own.person("silent").ssh("whoami").status == 0 and not own.leftovers())


def test_a_session_that_does_not_answer_is_listed_as_such_in_time(
    own: Gateway, silent_and_busy: tuple[dict[str, object], dict[str, object]]
) -> None:
    silent, busy = silent_and_busy
    began = time.monotonic()
    listed = run(sessions_words(own, "--json"))
    assert time.monotonic() - began < 3 + SLACK and listed.status == 0
    answers = {one["id"]: one["answers"] for one in listed.json["sessions"]}  # type: ignore[attr-defined]
    assert answers == {silent["id"]: False, busy["id"]: True}
    assert "does not answer" in run(sessions_words(own)).out


def test_the_kill_switch_ends_what_answers_at_once_and_kills_what_does_not(
    own: Gateway, silent_and_busy: tuple[dict[str, object], dict[str, object]]
) -> None:
    silent, busy = silent_and_busy
    began = time.monotonic()
    killing = subprocess.Popen(sessions_words(own, "kill", "--all"), stdout=subprocess.PIPE, text=True)
    eventually(lambda: not alive(int(str(busy["pid"]))), 2 + SLACK)
    eventually(lambda: not alive(int(str(silent["pid"]))), 6 + SLACK)
    assert time.monotonic() - began < 6 + SLACK
    said, _ = killing.communicate(timeout=30)
    assert killing.returncode == 0
    assert f"ended {busy['id']}: everything" in said and f"ended {silent['id']}: it did not answer" in said


def test_a_front_gives_up_on_a_session_that_does_not_answer(own: Gateway) -> None:
    who = own.person("someone")
    who.new("p")
    with who.mounted("p"), stopped([own.warden()]):
        began = time.monotonic()
        result = who.ssh("status")
        assert time.monotonic() - began < 10 + SLACK
        assert result.status == 75 and "does not answer" in result.err, result
        assert "does not answer" in result.out and "p" in result.out
