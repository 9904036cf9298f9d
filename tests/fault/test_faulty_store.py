"""The gateway on a disk that fails: an error is told, the lock is certain, and what was acknowledged is kept."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.harness import PASSPHRASE, Gateway, Person, admin, eventually, need, run
from tests.life import SLACK, session, unlock

PROMISED = 5.0
"""Seconds for every way to end (docs/threat-model.md)."""


class Disk:
    """A running faulty_store.py."""

    def __init__(self, place: Path) -> None:
        self.backing, self.path, self.switch = place / "backing", place / "disk", place / "switch"
        for directory in (self.backing, self.path):
            directory.mkdir()
        account = pwd.getpwnam("enc")
        os.chown(self.backing, account.pw_uid, account.pw_gid)
        self.backing.chmod(0o700)
        self.now("ok")
        program = Path(__file__).with_name("faulty_store.py")
        self._process = subprocess.Popen([sys.executable, program, self.backing, self.path, self.switch])
        eventually(lambda: os.path.ismount(self.path))

    def now(self, word: str) -> None:
        draft = self.switch.with_suffix(".new")
        draft.write_text(word)
        draft.rename(self.switch)

    def end(self) -> None:
        self.now("ok")
        subprocess.run(["umount", "-l", str(self.path)], check=False)
        self._process.terminate()
        self._process.wait()


@pytest.fixture
def disk(ground: Path) -> Iterator[Disk]:
    need(os.geteuid() == 0, "only root may let another account use its FUSE file system")
    directory = ground / f"disk-{time.monotonic_ns()}"
    directory.mkdir()
    made = Disk(directory)
    try:
        yield made
    finally:
        made.end()


@pytest.fixture
def who(disk: Disk, make_gateway: Callable[..., Gateway]) -> Person:
    """Somebody with a project on that disk."""
    gateway = make_gateway(**{"paths.vaults": str(disk.path)})
    someone = gateway.person("someone")
    someone.new("work")
    return someone


@pytest.fixture
def content(tmp_path: Path) -> Path:
    path = tmp_path / "content"
    path.write_bytes(os.urandom(500_000))
    return path


def fsck(disk: Disk) -> int:
    (vault,) = disk.backing.glob("*/work")
    words = ["gocryptfs", "-fsck", "-q", "-nosyslog", "-config", str(vault / "slots" / "passphrase.conf")]
    return run([*words, str(vault / "cipher")], PASSPHRASE).status


def still_there(who: Person, content: Path, back: Path) -> None:
    with who.mounted("work"):
        assert who.sftp(f"get work/kept {back}").status == 0
    assert back.read_bytes() == content.read_bytes()


@pytest.mark.parametrize("failure", ["ENOSPC", "EIO"])
def test_a_write_that_fails_is_told_and_costs_nothing_that_was_written(
    who: Person, disk: Disk, content: Path, tmp_path: Path, failure: str
) -> None:
    with who.mounted("work"):
        assert who.sftp(f"put {content} work/kept").status == 0
        disk.now(failure)
        result = who.sftp(f"put {content} work/lost")
        assert result.status != 0 and "work/lost" in result.err
        assert who.ssh("unmount", "work").status == 0
        assert who.gateway.events("locked", forced=False)
    disk.now("ok")
    assert fsck(disk) == 0
    still_there(who, content, tmp_path / "back")


def test_a_disk_that_cannot_read_is_no_damage_and_ends_no_other_backup(
    who: Person, disk: Disk, content: Path, tmp_path: Path
) -> None:
    with who.mounted("work"):
        assert who.sftp(f"put {content} work/kept").status == 0
    who.new("small")
    disk.now("unread")
    checked = who.ssh("fsck", "work", stdin=PASSPHRASE + "\n")
    assert checked.status == 74 and "disk could not read 1 files" in checked.err, checked
    copied = admin(who.gateway, "backup", str(tmp_path / "backup"), "--json")
    assert copied.status == 75
    problems = {one["project"]: one["problem"] for one in copied.json["vaults"]}  # type: ignore[attr-defined]
    assert problems["small"] == "" and "Input/output error" in problems["work"]
    disk.now("ok")
    assert who.ssh("fsck", "work", stdin=PASSPHRASE + "\n").status == 0
    assert admin(who.gateway, "backup", str(tmp_path / "backup")).status == 0


@pytest.mark.parametrize("failure", ["ENOSPC", "EIO"])
def test_a_project_that_cannot_be_made_is_not_half_there(who: Person, disk: Disk, failure: str) -> None:
    disk.now(failure)
    result = who.ssh("new", "another", stdin=PASSPHRASE + "\n")
    assert result.status == 73, result
    disk.now("ok")
    assert who.ssh("ls").out.count("another") == 0
    assert [path.name for path in next(disk.backing.iterdir()).iterdir()] == ["work"]


def test_a_disk_that_hangs_makes_no_lock_certain_before_it_answers_again(
    who: Person, disk: Disk, content: Path, tmp_path: Path
) -> None:
    """gocryptfs waits in the kernel, where no signal ends it. That is said, and the vault is nobody's until then."""
    gateway = who.gateway
    with session(who) as (_, shared):
        unlock(who, "work", shared)
        assert who.sftp(f"put {content} work/kept", extra=shared).status == 0
        (server,) = (pid for pid, args in gateway.session_processes().items() if args.startswith("/usr/bin/gocryptfs"))
        disk.now("hang")
        writing = subprocess.Popen(
            ["sftp", *who.options, "-b", "-", "gateway"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
        )
        assert writing.stdin
        writing.stdin.write(f"put {content} work/lost\n")
        writing.stdin.close()
        eventually(
            lambda: any(path.stat().st_size == 0 for path in disk.backing.glob("*/work/cipher/*") if path.is_file())
        )
        result = who.ssh("unmount", "work", extra=shared, timeout=60)
        assert result.status == 70 and "its gocryptfs hangs" in result.err
        assert not gateway.events("locked") and os.path.exists(f"/proc/{server}")
        (record,) = gateway.events("lock-incomplete", project="work", remains="gocryptfs")
        assert int(str(record["took_ms"])) < (PROMISED + SLACK) * 1000
        assert who.ssh("mount", "work", stdin=PASSPHRASE + "\n", extra=shared).status == 75, "two at one vault"
        assert "work" not in who.ssh("status", extra=shared).out
        disk.now("ok")
        eventually(lambda: gateway.events("locked", project="work", forced=True))
        assert not os.path.exists(f"/proc/{server}") and writing.wait(30) != 0
        unlock(who, "work", shared)
    assert fsck(disk) == 0
    still_there(who, content, tmp_path / "back")


def test_a_disk_that_hangs_during_an_unlock_keeps_nothing_from_ending(who: Person, disk: Disk) -> None:
    """The vault is read, and its lock taken, by somebody whom the session does not wait for."""
    who.new("other")
    with session(who) as (held, shared):
        unlock(who, "other", shared)
        asked = subprocess.Popen(
            who.argv("mount", "work", extra=shared),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert asked.stdin and asked.stdout
        os.read(asked.stdout.fileno(), 4096)  # the front has looked at the vault, and asks for the passphrase
        time.sleep(1.5)  # the kernel forgets the attributes that it has seen
        disk.now("deaf")
        asked.stdin.write(f"{PASSPHRASE}\n".encode())
        asked.stdin.close()
        try:
            time.sleep(1)
            began = time.monotonic()
            assert "other" in who.ssh("status", extra=shared).out
            assert who.ssh("unmount", "other", extra=shared).status == 0
            assert who.ssh("logout", extra=shared).status == 0
            assert time.monotonic() - began < PROMISED + SLACK
            assert who.gateway.events("locked", project="other", reason="unmount", forced=False)
            assert not who.gateway.events("unlocked", project="work")
        finally:
            disk.now("ok")
        assert asked.wait(30) != 0
        held.wait()
    with who.mounted("work"), who.mounted("other"):
        pass


def test_the_end_of_a_killed_session_is_recorded_when_its_gocryptfs_has_ended_and_once(
    who: Person, disk: Disk, content: Path
) -> None:
    """The warden is killed while gocryptfs waits in the kernel: the next callers find a session that is not over."""
    gateway = who.gateway
    with who.mounted("work") as held:
        (server,) = (pid for pid, args in gateway.session_processes().items() if args.startswith("/usr/bin/gocryptfs"))
        (one,) = gateway.sessions()
        disk.now("hang")
        writing = subprocess.Popen(
            ["sftp", *who.options, "-b", "-", "gateway"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
        )
        assert writing.stdin
        writing.stdin.write(f"put {content} work/lost\n")
        writing.stdin.close()
        eventually(lambda: disk.switch.with_name("hanging").exists())
        os.kill(int(str(one["pid"])), signal.SIGKILL)
        eventually(lambda: who.ssh("status", "--json").json["sessions"] == [])
        assert os.path.exists(f"/proc/{server}") and not gateway.events("locked"), "gocryptfs has it still"
        disk.now("ok")
        eventually(lambda: who.ssh("status").status == 0 and gateway.events("session-closed"))
        held.wait()
        writing.wait(30)
    assert not os.path.exists(f"/proc/{server}")
    for event in ("locked", "session-closed"):
        (row,) = gateway.events(event, session=one["id"])
        assert (row["reason"], row["found_by"]) == ("found-dead", "request")
        assert row["address"] == one["address"] and row["request"] in {
            found["request"] for found in gateway.events("request", verb="status")
        }
