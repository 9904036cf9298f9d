"""What lies among the sessions is read as from a stranger, and who finds a dead session writes its end, once."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.base import locks
from gateway.identity.names import Principal, SessionId
from gateway.session import cleanup, layout, liveness, registry, warden_process
from tests.unit.test_sessions import DEV1, DEV2, P, Q, audit, left, recorded, start, sweep


def fifo(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def directory(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.mkdir()


def link(path: Path) -> None:
    elsewhere = path.parent.parent / "elsewhere"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


def huge(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(1 << 30)


def deep(path: Path) -> None:
    path.write_text("[" * 200_000)


def socket(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mknod(path, 0o140600)


RECORDS = [fifo, directory, link, huge, deep, socket]
LOCKS = [fifo, directory, link, socket]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("change", RECORDS)
def test_a_record_that_is_none_hides_one_session_and_no_other(tmp_path: Path, change: Callable[[Path], None]) -> None:
    one, _, lock = start(tmp_path)
    _, path, other_lock = start(tmp_path)
    change(Path(path, layout.RECORD))
    assert registry.of_principal(str(tmp_path), DEV1) == (one,)
    os.close(other_lock)
    for _ in range(3):  # dead now: at most one record, however often it is looked at
        sweep(tmp_path)
    assert len(recorded(tmp_path)) <= 1
    os.close(lock)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("change", LOCKS)
def test_a_lock_that_is_none_is_no_session(tmp_path: Path, change: Callable[[Path], None]) -> None:
    one, _, lock = start(tmp_path)
    _, path, other_lock = start(tmp_path)
    change(Path(path, layout.LOCK))
    assert liveness.state(path) == liveness.FOREIGN
    assert registry.live(str(tmp_path)) == (one,)
    before = sorted(os.listdir(path))
    assert sweep(tmp_path) == 0
    assert sorted(os.listdir(path)) == before and recorded(tmp_path) == []
    os.close(lock)
    os.close(other_lock)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("level", ["session", "principal"])
def test_a_link_to_a_directory_is_not_followed(tmp_path: Path, level: str) -> None:
    """Somewhere else there is a directory that looks like a dead session: it keeps its files."""
    _, path, lock = start(tmp_path)
    os.close(lock)
    place = Path(path) if level == "session" else Path(path).parent
    place.rename(tmp_path / "elsewhere")
    place.symlink_to(tmp_path / "elsewhere")
    before = sorted((tmp_path / "elsewhere").rglob("*"))
    assert registry.live(str(tmp_path)) == ()
    assert sweep(tmp_path) == 0 and recorded(tmp_path) == []
    assert sorted((tmp_path / "elsewhere").rglob("*")) == before


def test_a_record_counts_only_in_its_own_place(tmp_path: Path) -> None:
    """Neither as another's nor under another id."""
    one, path, lock = start(tmp_path)
    for change in ({"principal": "dev2"}, {"id": "s-000000000000"}):
        Path(path, layout.RECORD).write_text(json.dumps({**json.loads(one.dump()), **change}))
        assert registry.live(str(tmp_path)) == ()
    os.close(lock)


def test_nothing_of_others_is_opened_for_a_principal(tmp_path: Path) -> None:
    """So the cost does not grow with their sessions."""
    one, _, lock = start(tmp_path)
    others = [start(tmp_path, principal=DEV2) for _ in range(20)]
    opened = subprocess.run(
        [sys.executable, "-c", _TRACED, str(Path(__file__).parents[2]), str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert str(one.id) in opened and "u-dev2" not in opened
    for _, _, other_lock in others:
        os.close(other_lock)
    os.close(lock)


_TRACED = """
import sys
sys.path.insert(0, sys.argv[1])
from gateway.audit.log import AuditLog
from gateway.base import codec, json
from gateway.identity.names import Principal
from gateway.session import cleanup, registry
sys.addaudithook(lambda event, args: print(event, *args) if event in ("open", "os.listdir", "os.scandir") else None)
cleanup.sweep_principal(sys.argv[2], Principal.of("dev1"), AuditLog("/none"), "a test")
print(registry.of_principal(sys.argv[2], Principal.of("dev1")))
"""


# the end of what died


def test_who_finds_a_dead_session_writes_its_end(tmp_path: Path) -> None:
    one, _, lock = start(tmp_path, views=(P, Q))
    os.close(lock)
    assert sweep(tmp_path) == 1
    found = [(row["event"], row.get("project"), row["reason"], row["found_by"]) for row in recorded(tmp_path)]
    assert found == [
        ("locked", "p", "found-dead", "a test"),
        ("locked", "q", "found-dead", "a test"),
        ("session-closed", None, "found-dead", "a test"),
    ]
    assert {(row["session"], row["principal"], row["address"]) for row in recorded(tmp_path)} == {
        (one.id, "dev1", "192.0.2.7")
    }


def test_of_many_finders_one_writes_it(tmp_path: Path) -> None:
    audit(tmp_path)
    for _ in range(20):
        os.close(start(tmp_path)[2])
    finders = [threading.Thread(target=sweep, args=(tmp_path,)) for _ in range(8)]
    for finder in finders:
        finder.start()
    for finder in finders:
        finder.join(60)
    sweep(tmp_path)
    assert left(tmp_path) == []
    ends = [row["session"] for row in recorded(tmp_path)]
    assert len(ends) == len(set(ends)) == 20


def test_an_end_between_lock_and_record_is_written_without_its_views(tmp_path: Path) -> None:
    """The warden was killed after it had recorded the lock of its views, and before its own end."""
    _, path, lock = start(tmp_path, views=(P,))
    registry.retire(path)
    os.close(lock)
    sweep(tmp_path)
    assert [row["event"] for row in recorded(tmp_path)] == ["session-closed"]


def test_while_the_log_cannot_be_written_the_session_stays_to_be_found(tmp_path: Path) -> None:
    one, path, lock = start(tmp_path)
    os.close(lock)
    log = audit(tmp_path)
    Path(log.path).mkdir()
    assert not cleanup.bury(path, log, "a test")
    assert left(tmp_path) == [one.id]
    Path(log.path).rmdir()
    assert cleanup.bury(path, log, "a test")
    assert len(recorded(tmp_path)) == 1


def test_somebody_who_holds_the_finders_lock_delays_nobody(tmp_path: Path) -> None:
    _, path, lock = start(tmp_path)
    os.close(lock)
    with Path(path, layout.LOCK).open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert sweep(tmp_path) == 0 and registry.live(str(tmp_path)) == ()
    assert sweep(tmp_path) == 1


# processes


def test_no_pid_of_a_record_is_taken_for_a_warden(tmp_path: Path) -> None:
    for pid in (os.getpid(), os.getppid(), 1, 0, -1, 1 << 22, 1 << 70):
        one, _, lock = start(tmp_path, pid=pid)
        assert warden_process.open_pidfd(str(tmp_path), one) is None
        os.close(lock)


def test_a_zombie_has_ended_and_a_live_process_is_not_exiting() -> None:
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not warden_process.is_exiting(child.pid)
    child.wait()
    assert not warden_process.is_exiting(child.pid)
    assert not warden_process.is_exiting(os.getpid())


def test_the_lock_of_a_session_is_not_the_finders(tmp_path: Path) -> None:
    """Two kinds of lock: a finder at work does not make a dead session look alive."""
    _, path, lock = start(tmp_path)
    os.close(lock)
    fd = os.open(os.path.join(path, layout.LOCK), os.O_RDONLY)
    assert locks.try_acquire(fd)
    assert liveness.state(path) == liveness.DEAD
    os.close(fd)


def test_the_place_of_a_session_says_whose_it_is() -> None:
    path = layout.path("/run/enc", DEV1, SessionId("s-0123456789ab"))
    assert path == "/run/enc/sessions/u-dev1/s-0123456789ab"
    assert layout.owner(path) == (DEV1, "s-0123456789ab")
    key = Principal.of_fingerprint("SHA256:" + "A" * 42 + "+")
    assert layout.owner(layout.path("/run", key, SessionId("s-1")))[0] == key
