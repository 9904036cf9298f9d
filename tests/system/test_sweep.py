"""The next caller and `sweep` remove what a crash left, and never what is live."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.audit.log import AuditLog
from gateway.base import files
from gateway.session import cleanup, layout
from gateway.vault import garbage
from tests.harness import PASSPHRASE, Gateway, Person, bindir, eventually, run
from tests.life import session, sessions_in_status, unlock


def sweep(gateway: Gateway) -> str:
    """Run `enc-gateway sweep`; its output."""
    result = run([str(bindir() / "enc-gateway"), "sweep", "--config", str(gateway.root / "gateway.toml")])
    assert result.status == 0, result
    return result.out.strip()


def _removed(sessions: int) -> str:
    """The output of `sweep` when it removed only dead sessions."""
    return f"removed: {sessions} dead session{'' if sessions == 1 else 's'}" if sessions else "nothing to remove"


def records(gateway: Gateway) -> list[Path]:
    return list((gateway.root / "run" / "sessions").glob("*/*"))


def crash(gateway: Gateway) -> None:
    """Kill every process of every session, as a power loss would."""
    found = gateway.session_processes()
    # bubblewrap last: when it dies, a warden locks gracefully
    for pid in sorted(found, key=lambda pid: found[pid].startswith("/usr/bin/bwrap")):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    eventually(lambda: not gateway.session_processes())


@pytest.fixture
def crashed(gateway_: Gateway, who: Person) -> Iterator[Gateway]:
    """A gateway with the record of a dead session."""
    with who.mounted("work"):
        crash(gateway_)
        assert list((gateway_.root / "run" / "sessions").glob("*/*/record.json"))
        yield gateway_


@pytest.fixture
def gateway_(make_gateway: Callable[..., Gateway]) -> Gateway:
    return make_gateway()


@pytest.fixture
def who(gateway_: Gateway) -> Person:
    someone = gateway_.person("someone")
    someone.new("work")
    return someone


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may kill the gateway's processes")


@needs_root
def test_the_next_caller_sweeps_a_dead_session(crashed: Gateway, who: Person) -> None:
    assert sessions_in_status(who) == []
    assert records(crashed) == []
    for event in ("locked", "session-closed"):
        (row,) = crashed.events(event)
        assert (row["reason"], row["found_by"]) == ("found-dead", "request")
    with who.mounted("work"):
        assert who.sftp("ls work").status == 0


@needs_root
def test_the_sysadmin_sweeps_a_dead_session(crashed: Gateway) -> None:
    assert sweep(crashed) == _removed(1)
    assert records(crashed) == []
    (row,) = crashed.events("session-closed")
    assert (row["reason"], row["found_by"]) == ("found-dead", "enc-gateway sweep")
    assert sweep(crashed) == _removed(0)


def test_an_end_that_the_session_recorded_is_not_recorded_again(gateway_: Gateway, who: Person) -> None:
    with who.mounted("work") as held:
        assert who.ssh("logout").status == 0
        held.wait()
    assert sessions_in_status(who) == []
    sweep(gateway_)
    assert [row["reason"] for row in gateway_.events("session-closed")] == ["logout"]
    assert [row["reason"] for row in gateway_.events("locked")] == ["logout"]


def test_a_live_session_is_not_swept(gateway_: Gateway, who: Person) -> None:
    with who.mounted("work"):
        assert sweep(gateway_) == _removed(0)
        assert len(sessions_in_status(who)) == 1
        assert who.sftp("ls work").status == 0


def test_half_made_vaults_are_swept_when_nobody_can_be_making_them_any_more(
    gateway_: Gateway, who: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home,) = gateway_.vaults.iterdir()
    draft = home / ".new-half-0badcafe"
    (draft / "cipher").mkdir(parents=True)
    assert sweep(gateway_) == _removed(0)
    assert draft.exists()
    _later(monkeypatch, files.ABANDONED_AFTER + 1)
    assert garbage.sweep(str(gateway_.vaults), 30) == garbage.Removed(drafts=1)
    assert not draft.exists() and (home / "work").exists()


def test_half_made_sessions_are_swept_when_nobody_can_be_making_them_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draft = tmp_path / "sessions" / "u-dev1" / ".new-s-0123456789ab"
    draft.mkdir(parents=True)
    (draft / layout.LOCK).touch()
    log = AuditLog(str(tmp_path / "log"))
    assert cleanup.sweep(str(tmp_path), log, "a test") == 0
    assert draft.exists(), "somebody opens its lock at this very moment"
    _later(monkeypatch, files.ABANDONED_AFTER + 1)
    assert cleanup.sweep(str(tmp_path), log, "a test") == 1
    assert not draft.exists()


def test_removed_projects_are_deleted_after_their_days(
    gateway_: Gateway, who: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert who.ssh("rm", "work", "--yes").status == 0
    assert sweep(gateway_) == _removed(0)
    (thrown,) = gateway_.vaults.glob("*/.trash/*")
    _later(monkeypatch, 30 * 86400 + 1)
    assert garbage.sweep(str(gateway_.vaults), 30).trash == 1
    assert not thrown.exists()


def test_making_a_project_sweeps_the_principal_s_old_trash(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway(**{"trash.days": "0"})
    who = gateway.person("someone")
    who.new("work")
    assert who.ssh("rm", "work", "--yes").status == 0
    assert list(gateway.vaults.glob("*/.trash/*"))
    who.new("work")
    assert not list(gateway.vaults.glob("*/.trash/*"))


def _later(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Set this process's clock forward."""
    really = time.time
    monkeypatch.setattr(time, "time", lambda: really() + seconds)


def test_sweeping_all_the_time_disturbs_nobody(make_gateway: Callable[..., Gateway]) -> None:
    """Run several sweepers while sessions, projects and trash come and go."""
    gateway = make_gateway(**{"trash.days": "0"})
    people = [gateway.person(f"p{number}") for number in range(3)]
    troubles: list[str] = []
    script = (
        "import sys\nsys.path.insert(0, sys.argv[1])\n"
        "from gateway.audit.log import AuditLog\n"
        "from gateway.session import cleanup\nfrom gateway.vault import garbage\n"
        "log = AuditLog(sys.argv[4])\n"
        "while True: garbage.sweep(sys.argv[2], 0), cleanup.sweep(sys.argv[3], log, 'a test')"
    )
    root = str(Path(garbage.__file__).parents[2])
    words = ["python3", "-I", "-c", script, root, str(gateway.vaults), str(gateway.root / "run")]
    words.append(str(gateway.ready["audit"]))
    sweepers = [subprocess.Popen(words, stderr=subprocess.PIPE) for _ in range(2)]

    def live(who: Person) -> None:
        for round_ in range(4):
            name = f"project{round_}"
            made = who.ssh("new", name, stdin=PASSPHRASE + "\n")
            with session(who) as (_, shared):
                unlock(who, name, shared)
                written = who.sftp(f"put /etc/hostname {name}/f", f"ls {name}/f", extra=shared)
                shown = len(sessions_in_status(who, shared))
                locked = who.ssh("unmount", name, extra=shared)
            removed = who.ssh("rm", name, "--yes")
            if any((made.status, written.status, shown != 1, locked.status, removed.status)):
                troubles.append(f"{made} {written} {shown} {locked} {removed}")

    workers = [threading.Thread(target=live, args=(who,)) for who in people]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert not (faults := gateway.events("fault")), faults
    assert troubles == []
    for sweeper in sweepers:
        assert sweeper.poll() is None, sweeper.communicate()[1].decode()
        sweeper.kill()
        sweeper.communicate()
    assert len(gateway.events("locked", reason="unmount")) == 12
    eventually(lambda: not gateway.leftovers())
    assert not list(gateway.vaults.glob("*/.new-*"))
