"""Idle limits, in both directions: who works stays, who does not is locked on time, and looking is not working."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.harness import Gateway, Person, eventually
from tests.life import (
    SLACK,
    keep_doing,
    lock_reasons,
    locked_after,
    printed_events,
    session,
    sessions_in_status,
    sshfs,
    unlock,
    view,
)

LIMIT = 4.0
LONG = 1.6 * LIMIT
"""How long we keep at it: well beyond the limit."""


@pytest.fixture(scope="module")
def limited(ground: Path) -> Iterator[Gateway]:
    """Views lock after LIMIT seconds, sessions do not."""
    gateway = Gateway(ground / "gw", {"idle.view": f"{LIMIT:.0f}", "idle.session": "600"}).start()
    try:
        yield gateway
        eventually(lambda: not gateway.leftovers())
    finally:
        gateway.stop()


@pytest.fixture
def worker(limited: Gateway, request: pytest.FixtureRequest) -> Person:
    """Somebody new with a project of one file on that gateway."""
    who = limited.person(f"w{abs(hash(request.node.name))}")
    who.new("work")
    return who


@pytest.fixture
def content(tmp_path: Path) -> Path:
    path = tmp_path / "content"
    path.write_bytes(os.urandom(200_000))
    return path


@contextlib.contextmanager
def sftp_client(who: Person, *options: str) -> Iterator[Callable[[str], None]]:
    """An sftp that stays connected and takes commands."""
    words = ["sftp", *who.options, *options, "-b", "-", "gateway"]
    client = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0)
    assert client.stdin and client.stdout

    def order(line: str) -> None:
        assert client.stdin and client.stdout
        client.stdin.write(f"{line}\n!echo done-with-it\n".encode())
        said = b""
        while b"\ndone-with-it" not in said:
            chunk = os.read(client.stdout.fileno(), 4096)
            assert chunk, said
            said += chunk

    try:
        order("ls work")
        yield order
    finally:
        client.kill()
        client.wait()
        client.stdin.close()
        client.stdout.close()


def stays_then_locks(who: Person, act: Callable[[], object], every: float = 0.5) -> None:
    """`act` keeps the view for LONG, and when it stops, the view is locked after LIMIT."""
    keep_doing(act, every, LONG)
    ended = time.monotonic()
    assert mine(who) == [], "it was locked while somebody worked"
    eventually(lambda: mine(who), LIMIT + SLACK)
    assert time.monotonic() - ended >= LIMIT - every - 1
    assert mine(who) == ["idle-view"]


def mine(who: Person) -> list[str]:
    """Why `who`'s project was locked."""
    events = who.gateway.events("locked", project="work", fingerprint=who.fingerprint)
    return [str(record["reason"]) for record in events]


def locks_on_time(who: Person, act: Callable[[], object], every: float = 0.5) -> None:
    """`act` does not keep the view: it is locked LIMIT after it was unlocked."""
    began = time.monotonic()
    while not mine(who):
        assert time.monotonic() - began < LIMIT + SLACK, "it was kept by what is no activity"
        act()
        time.sleep(every)
    assert mine(who) == ["idle-view"]


# 1: the session


def test_a_session_without_a_command_for_its_limit_is_closed(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway(**{"idle.session": "3", "idle.view": "600"})
    who = gateway.person("someone")
    who.new("work")
    with session(who) as (held, shared):
        unlock(who, "work", shared)
        began = time.monotonic()
        assert held.wait(3 + SLACK).status == 75
        assert time.monotonic() - began > 2
    assert "the session will be closed" in held.said
    assert "locked work: idle for " in held.said
    assert lock_reasons(gateway, "work") == ["idle-session"]
    assert gateway.events("session-closed")[-1]["reason"] == "idle-session"
    eventually(lambda: not gateway.leftovers())


def test_commands_addressed_to_the_session_keep_it(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway(**{"idle.session": "3", "idle.view": "600"})
    who = gateway.person("someone")
    who.new("work")
    with session(who) as (held, shared):
        unlock(who, "work", shared)
        keep_doing(lambda: who.sftp("pwd"), 1, LONG)
        assert not gateway.events("session-closed")
        assert held.wait(3 + SLACK).status == 75


def test_typed_lines_keep_the_session_of_a_prompt(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway(**{"idle.session": "3", "idle.view": "600"})
    who = gateway.person("someone")
    who.new("work")
    terminal = who.terminal()
    try:
        terminal.expect("enc> ")
        terminal.send("mount work\r")
        terminal.expect("Passphrase")
        time.sleep(0.2)
        terminal.send("correct horse battery staple\r")
        terminal.expect("unlocked work")

        def type_a_line() -> None:
            terminal.send("whoami\r")
            terminal.expect("enc> ")

        keep_doing(type_a_line, 1, LONG)
        assert not gateway.events("session-closed")
        terminal.expect("the session will be closed", 3 + SLACK)
        terminal.expect("locked work", 3 + SLACK)
        assert lock_reasons(gateway, "work") == ["idle-session"]
    finally:
        terminal.close()


def test_file_io_in_a_view_keeps_the_session_too(
    make_gateway: Callable[..., Gateway], tmp_path: Path, content: Path
) -> None:
    gateway = make_gateway(**{"idle.session": "3", "idle.view": "3"})
    who = gateway.person("someone")
    who.new("work")
    with session(who) as (held, shared):
        unlock(who, "work", shared)
        with sshfs(who, "work", tmp_path / "mnt") as at:
            keep_doing(lambda: (at / "f").write_bytes(b"x"), 1, LONG)
            assert not gateway.events("session-closed") and not lock_reasons(gateway, "work")
        assert held.wait(3 + SLACK).status == 75


# 2: the view


def test_an_idle_view_is_locked_while_another_in_the_session_is_at_work(limited: Gateway, tmp_path: Path) -> None:
    who = limited.person("two-views")
    who.new("busy")
    who.new("idle")
    with session(who) as (held, shared):
        unlock(who, "busy", shared)
        unlock(who, "idle", shared)
        began = time.monotonic()
        with sshfs(who, "busy", tmp_path / "mnt") as at:
            keep_doing(lambda: (at / "f").write_bytes(b"x"), 0.5, LONG)
            assert locked_after(limited, "idle", began, 0, LONG) == "idle-view"
            assert not lock_reasons(limited, "busy")
            held.read_until("locked idle: idle for ")
        assert locked_after(limited, "busy", time.monotonic(), 0, LIMIT) == "idle-view"
        assert held.process.poll() is None, "the session lives on without a view"
        unlock(who, "idle", shared)
        assert who.ssh("unmount", "idle", extra=shared).status == 0


def test_a_project_may_ask_for_a_shorter_limit_only(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway(**{"idle.view": "60"})
    who = gateway.person("someone")
    who.new("work")
    assert who.ssh("idle", "work", "61").status == 64
    assert who.ssh("idle", "work", "0").status == 64
    assert who.ssh("idle", "work", "2").status == 0
    began = time.monotonic()
    with who.mounted("work"):
        assert locked_after(gateway, "work", began, 2, 2) == "idle-view"


def test_a_project_may_ask_for_a_longer_limit_where_the_sysadmin_allows_it(
    make_gateway: Callable[..., Gateway],
) -> None:
    gateway = make_gateway(**{"idle.view": "2", "idle.view_longest": "90"})
    who = gateway.person("someone")
    who.new("work")
    assert who.ssh("idle", "work", "91").status == 64
    assert who.ssh("idle", "work", "90").status == 0
    with who.mounted("work"):
        time.sleep(2 + 1.5)
        assert not lock_reasons(gateway, "work")
        assert 80 < int(str(view(sessions_in_status(who)[0], "work")["locks_in"])) <= 90


def test_a_limit_written_into_the_vault_by_hand_is_bounded_by_the_configuration(
    make_gateway: Callable[..., Gateway],
) -> None:
    gateway = make_gateway(**{"idle.view": "2"})
    who = gateway.person("someone")
    who.new("work")
    (metadata,) = gateway.vaults.glob("*/work/vault.toml")
    metadata.write_text(metadata.read_text() + "idle = 86400\n")
    began = time.monotonic()
    with who.mounted("work"):
        assert locked_after(gateway, "work", began, 2, 2) == "idle-view"


# 3: kept


def test_sftp_put_keeps_the_view(worker: Person, content: Path) -> None:
    with worker.mounted("work"), sftp_client(worker) as order:
        stays_then_locks(worker, lambda: order(f"put {content} work/f"))


def test_reads_that_the_page_cache_answers_keep_the_view(worker: Person, content: Path, tmp_path: Path) -> None:
    """One program on the gateway reads the same block of an open file, which gocryptfs is asked for once."""
    with worker.mounted("work"), sshfs(worker, "work", tmp_path / "mnt") as at:
        (at / "f").write_bytes(content.read_bytes())
        with _opened(at / "f", os.O_RDONLY) as fd:
            assert os.pread(fd, 50_000, 0) == content.read_bytes()[:50_000]
            before = _bytes_read_by_gocryptfs(worker.gateway)
            keep_doing(lambda: os.pread(fd, 50_000, 0), 0.5, LONG)
            assert _bytes_read_by_gocryptfs(worker.gateway) - before < 50_000
            assert mine(worker) == []


def _bytes_read_by_gocryptfs(gateway: Gateway) -> int:
    """0 when there is none, or when we may not look."""
    pids = [pid for pid, args in gateway.session_processes().items() if args.startswith("/usr/bin/gocryptfs")]
    with contextlib.suppress(OSError), open(f"/proc/{pids[0] if pids else 0}/io", encoding="ascii") as file:
        return int(file.readline().split()[1])
    return 0


def test_sshfs_reads_keep_the_view(worker: Person, tmp_path: Path) -> None:
    with worker.mounted("work"), sshfs(worker, "work", tmp_path / "mnt") as at:
        (at / "f").write_bytes(b"x" * 5000)
        stays_then_locks(worker, lambda: (at / "f").read_bytes())


def test_rsync_keeps_the_view(worker: Person, content: Path) -> None:
    def change_and_copy() -> None:
        content.write_bytes(os.urandom(1000))
        assert worker.copy("rsync", "-c", str(content), "gateway:work/f").status == 0

    with worker.mounted("work"):
        stays_then_locks(worker, change_and_copy, 1)


def test_scp_keeps_the_view(worker: Person, content: Path) -> None:
    with worker.mounted("work"):
        stays_then_locks(worker, lambda: worker.copy("scp", str(content), "gateway:work/f"), 1)


def test_one_long_slow_upload_keeps_the_view(worker: Person, content: Path) -> None:
    with worker.mounted("work"):
        began = time.monotonic()
        assert worker.copy("scp", "-O", "-l", "220", str(content), "gateway:work/f").status == 0
        assert time.monotonic() - began > 1.6 * LIMIT, "it was not slow"
        assert mine(worker) == []


def test_a_write_now_and_then_into_one_open_file_keeps_the_view(worker: Person, tmp_path: Path) -> None:
    with (
        worker.mounted("work"),
        sshfs(worker, "work", tmp_path / "mnt") as at,
        _opened(at / "log", os.O_WRONLY | os.O_CREAT) as log,
    ):
        stays_then_locks(worker, lambda: os.write(log, b"."), 0.6 * LIMIT)


@contextlib.contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    """By descriptor: when the view is locked meanwhile, even close(2) reports it."""
    fd = os.open(path, flags)
    try:
        yield fd
    finally:
        with contextlib.suppress(OSError):
            os.close(fd)


def test_new_directories_are_watched(worker: Person, tmp_path: Path) -> None:
    """In a directory made, moved and filled after the mount, reads alone keep the view."""
    with worker.mounted("work"), sshfs(worker, "work", tmp_path / "mnt") as at:
        time.sleep(1)
        (at / "a/b").mkdir(parents=True)
        (at / "a/b/f").write_bytes(b"x" * 10)
        time.sleep(0.6)
        (at / "a").rename(at / "moved")
        (at / "moved/b/c").mkdir()
        time.sleep(0.6)
        (at / "moved/b/c/f").write_bytes(b"y" * 10)
        stays_then_locks(worker, lambda: (at / "moved/b/c/f").read_bytes(), 1)


# 4: not kept


def test_neither_looking_nor_being_connected_keeps_the_view(worker: Person, tmp_path: Path) -> None:
    """Clients that are merely alive, stat and df through sshfs, ls and df by sftp, and an idle sftp, all at once: were
    any of it activity, the view would be kept.
    """
    alive = ("-o", "ServerAliveInterval=1")
    with worker.mounted("work", extra=alive), contextlib.ExitStack() as watchers:
        ats = [watchers.enter_context(sshfs(worker, "work", tmp_path / f"mnt{number}")) for number in range(2)]
        (ats[0] / "f").write_bytes(b"x" * 5000)
        *orders, _idle = [watchers.enter_context(sftp_client(worker, *alive)) for _ in range(3)]

        def look() -> None:
            for at in ats:
                with contextlib.suppress(OSError):  # it is locked, then
                    os.stat(at)
                    os.stat(at / "f")
                    os.statvfs(at)
                    os.listdir(at)
            for order in orders:
                for line in ("-ls work", "-df work"):
                    with contextlib.suppress(OSError, AssertionError):
                        order(line)

        look()
        locks_on_time(worker, look)


def test_status_keeps_neither_view_nor_session(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway(**{"idle.session": "4", "idle.view": "3"})
    who = gateway.person("someone")
    who.new("work")
    with session(who) as (held, shared):
        unlock(who, "work", shared)
        began = time.monotonic()
        while not gateway.events("session-closed"):
            assert time.monotonic() - began < 4 + SLACK
            who.ssh("status")
        assert lock_reasons(gateway, "work") == ["idle-view"]
        assert held.wait().status == 75


def test_the_growing_of_the_watch_set_is_no_activity(worker: Person, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    for number in range(3000):
        (tree / f"{number % 60}" / f"{number}").mkdir(parents=True)
    with worker.mounted("work") as held:
        assert worker.copy("rsync", "-r", f"{tree}/", "gateway:work/").status == 0
        assert worker.ssh("unmount", "work").status == 0
        held.wait()
    with worker.mounted("work"):
        began = time.monotonic()
        eventually(lambda: len(mine(worker)) == 2, LIMIT + SLACK)
        assert time.monotonic() - began > LIMIT - 1
    assert mine(worker) == ["unmount", "idle-view"]


# 10: warnings


def warned(gateway: Gateway) -> Person:
    who = gateway.person("someone")
    who.new("work")
    return who


def test_a_warning_comes_before_and_is_taken_back_once(make_gateway: Callable[..., Gateway], tmp_path: Path) -> None:
    who = warned(make_gateway(**{"idle.view": "5", "idle.warning": "3"}))
    with who.mounted("work", flags=("--json",)) as held, sshfs(who, "work", tmp_path / "mnt") as at:
        held.read_until('"warning"', 5 + SLACK)
        began = time.monotonic()
        for _ in range(3):
            (at / "f").write_bytes(b"x")
        held.read_until('"relieved"', 2 + SLACK)
        held.read_until('"locked"', 5 + SLACK)
        assert time.monotonic() - began > 4
        events = [event for event in printed_events(held) if event["event"] in ("warning", "relieved", "locked")]
        assert [event["event"] for event in events] == ["warning", "relieved", "warning", "locked"]
        assert events[0]["project"] == "work" and events[0]["seconds"] in (2, 3)


def test_the_warning_says_what_will_lock_and_how_to_stay(make_gateway: Callable[..., Gateway]) -> None:
    who = warned(make_gateway(**{"idle.view": "4", "idle.warning": "2", "idle.session": "4"}))
    terminal = who.terminal("mount", "work")
    try:
        terminal.expect("Passphrase")
        time.sleep(0.2)
        terminal.send("correct horse battery staple\r")
        terminal.expect("unlocked work")
        terminal.expect("in 2 s work will be locked because it is idle; read or write a file in it to prevent that")
        terminal.expect("locked work: idle for ")
        assert terminal.wait() == 75
        assert terminal.seen.count("will be") == 1, "one warning for a view and the session that it holds"
    finally:
        terminal.close()


def test_a_command_takes_back_the_session_s_warning(make_gateway: Callable[..., Gateway]) -> None:
    who = warned(make_gateway(**{"idle.session": "4", "idle.warning": "2"}))
    with session(who) as (held, _):
        held.read_until("the session will be closed")
        who.sftp("pwd")
        held.read_until("the session is in use again")
        held.read_until("the session will be closed", 4 + SLACK)  # of before, or again
        assert held.wait(6 + SLACK).status == 75
    assert held.said.count("in use again") == 1
    assert held.said.count("will be closed") == 2


def test_a_session_that_ends_after_its_view_is_warned_of_by_itself(make_gateway: Callable[..., Gateway]) -> None:
    """The view's warning stands for the session only where both end together."""
    who = warned(make_gateway(**{"idle.session": "5", "idle.view": "5", "idle.warning": "2"}))
    with session(who) as (held, shared):
        unlock(who, "work", shared)
        time.sleep(1.5)
        who.sftp("pwd")  # the session, not the view
        assert held.wait(8 + SLACK).status == 75
    assert held.said.index("work will be locked") < held.said.index("the session will be closed")


# 11: status


def test_status_tells_what_was_done_last_by_whom_and_when_it_locks(limited: Gateway, worker: Person) -> None:
    with worker.mounted("work"), sftp_client(worker) as order:
        order("put /etc/hostname work/f")

        def written() -> bool:
            return view(sessions_in_status(worker)[0], "work")["last_activity"] == "write"

        eventually(written, LIMIT)
        (one,) = sessions_in_status(worker)
        of_view = view(one, "work")
        assert one["address"] == "127.0.0.1" and one["fingerprint"] == worker.fingerprint
        assert str(of_view["by"]).startswith("sftp-server from 127.0.0.1:")
        assert 0 <= int(str(of_view["idle"])) <= LIMIT and 0 <= int(str(of_view["locks_in"])) <= LIMIT
        assert one["last_activity"] == "write" and int(str(one["locks_in"])) > 500


# 13: clocks


@pytest.mark.alone
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may set the clock")
@pytest.mark.parametrize("hours", [pytest.param(1, id="forward"), pytest.param(-1, id="back")])
def test_setting_the_wall_clock_changes_nothing(limited: Gateway, worker: Person, hours: int) -> None:
    began = time.monotonic()
    with worker.mounted("work") as held:
        _set_the_clock_for_a_moment(hours * 3600)
        assert held.process.poll() is None
        assert mine(worker) == []
        eventually(lambda: mine(worker), LIMIT + SLACK)
        assert time.monotonic() - began > LIMIT
    assert mine(worker) == ["idle-view"]


def _set_the_clock_for_a_moment(seconds: int) -> None:
    wall, steady = time.clock_gettime(time.CLOCK_REALTIME), time.monotonic()
    try:
        time.clock_settime(time.CLOCK_REALTIME, wall + seconds)
        time.sleep(0.7)
    finally:
        time.clock_settime(time.CLOCK_REALTIME, wall + (time.monotonic() - steady))
