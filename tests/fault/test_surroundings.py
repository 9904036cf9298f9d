"""Trouble of the host refuses what begins, before a passphrase is asked for and in words that name it. It ends no
session, and keeps nothing from ending.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import pwd
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.harness import PASSPHRASE, PROMPT, Gateway, Held, Person, Result, eventually, need_root
from tests.life import lock_reasons, session, sessions_in_status, unlock

ASKED = "Passphrase of"


@contextlib.contextmanager
def small_disk(at: Path, size: str = "1m") -> Iterator[None]:
    """A disk of the gateway's account, mounted at `at`."""
    at.mkdir(exist_ok=True)
    account = pwd.getpwnam("enc")
    options = f"size={size},mode=0700,uid={account.pw_uid},gid={account.pw_gid}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(at)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(at)], check=True)


def fill(disk: Path) -> None:
    with (disk / "ballast").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    os.chown(disk / "ballast", pwd.getpwnam("enc").pw_uid, -1)


def make_read_only(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)


@pytest.fixture
def own(make_gateway: Callable[..., Gateway]) -> Gateway:
    need_root()
    return make_gateway()


@pytest.fixture
def who(own: Gateway) -> Person:
    """Somebody with two projects."""
    someone = own.person("someone")
    for project in ("p", "q"):
        someone.new(project)
    return someone


def mount(who: Person, project: str, shared: tuple[str, ...] = ()) -> Result:
    return who.ssh("mount", project, stdin=PASSPHRASE + "\n", extra=shared)


@contextlib.contextmanager
def at_work(who: Person, shared: tuple[str, ...]) -> Iterator[Held]:
    """A program that uses p."""
    held = who.hold("run", "p", "--", "sh", "-c", "'exec 3>used; echo begun; sleep 600'", extra=shared)
    try:
        held.read_until("begun")
        yield held
        assert held.process.poll() is not None, "it was stopped with its view"
    finally:
        held.end()


def still_ends(who: Person, program: Held, shared: tuple[str, ...]) -> None:
    """p is unlocked and used still; and it is locked, and the session ended, when that is asked for."""
    assert program.process.poll() is None, "the program goes on"
    (listed,) = sessions_in_status(who, shared)
    assert [view["project"] for view in listed["views"]] == ["p"]  # type: ignore[attr-defined]
    unmounted = who.ssh("unmount", "p", extra=shared)
    assert unmounted.status == 0, unmounted
    (listed,) = sessions_in_status(who, shared)
    assert listed["views"] == []
    assert who.ssh("logout", extra=shared).status == 0


def test_a_full_run_directory_refuses_a_mount_before_it_asks_and_ends_nothing(own: Gateway, who: Person) -> None:
    with small_disk(own.root / "run"):
        with session(who) as (held, shared):
            unlock(who, "p", shared)
            with at_work(who, shared) as program:
                fill(own.root / "run")
                for options in (shared, ()):
                    refused = mount(who, "q", options)
                    assert (refused.status, refused.out) == (75, "")
                    assert "run directory is full" in refused.err and ASKED not in refused.err
                assert who.ssh("session").status == 75
                still_ends(who, program, shared)
            assert held.wait().status == 0
        eventually(lambda: not own.session_processes())
    assert lock_reasons(own, "p") == ["unmount"] and not own.events("fault")


@pytest.mark.parametrize("lacking", ["processes", "descriptors"])
def test_a_warden_without_them_refuses_a_mount_and_ends_nothing(own: Gateway, who: Person, lacking: str) -> None:
    with session(who) as (held, shared):
        unlock(who, "p", shared)
        with at_work(who, shared) as program:
            warden = own.warden()
            used = set(map(int, os.listdir(f"/proc/{warden}/fd")))
            free = next(number for number in itertools.count() if number not in used)
            limit = "--nproc=0" if lacking == "processes" else f"--nofile={free}"
            assert own.as_account("prlimit", f"--pid={warden}", limit).status == 0
            refused = mount(who, "q", shared)
            assert refused.status == 75 and "the gateway's host" in refused.err, refused
            still_ends(who, program, shared)
        assert held.wait().status == 0
    assert lock_reasons(own, "p") == ["unmount"] and not own.events("fault")
    eventually(lambda: not own.leftovers())


def test_a_read_only_disk_of_the_vaults_is_told_as_that(make_gateway: Callable[..., Gateway], ground: Path) -> None:
    need_root()
    disk = ground / "vaults"
    with small_disk(disk, "16m"):
        gateway = make_gateway(**{"paths.vaults": str(disk)})
        who = gateway.person("someone")
        who.new("p")
        make_read_only(disk)
        for words in (("mount", "p"), ("idle", "p", "90"), ("new", "q")):
            refused = who.ssh(*words, stdin=PASSPHRASE + "\n")
            assert refused.status in (73, 75) and "Read-only file system" in refused.err, refused
            assert words[0] == "new" or ASKED not in refused.err
            assert "damaged" not in refused.err and "fault" not in refused.err
        assert who.ssh("status").status == 0
        assert not gateway.session_processes()


@contextlib.contextmanager
def copies_at(path: Path) -> Iterator[list[str]]:
    """A syslog at `path`, and what it has been sent."""
    copies: list[str] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.bind(str(path))
        path.chmod(0o666)

        def listen() -> None:
            while copy := log.recv(65536):
                copies.append(copy.decode())

        listening = threading.Thread(target=listen)
        listening.start()
        try:
            yield copies
        finally:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
                end.sendto(b"", str(path))
            listening.join(10)


@contextlib.contextmanager
def unwritable(audit: Path, how: str) -> Iterator[None]:
    if how == "full":
        fill(audit.parent)
    elif how == "read-only":
        make_read_only(audit.parent)
    with audit.open() as file:
        if how == "locked by a process that was stopped":
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.mark.parametrize("how", ["full", "read-only", "locked by a process that was stopped"])
def test_what_ends_things_needs_no_audit_log(make_gateway: Callable[..., Gateway], ground: Path, how: str) -> None:
    """Syslog has a copy of what could not be written."""
    need_root()
    disk = ground / f"audit-{time.monotonic_ns()}"
    syslog = ground / f"syslog-{time.monotonic_ns()}"
    with small_disk(disk), copies_at(syslog) as copies:
        settings = {"paths.audit": f"{disk}/audit.jsonl", "audit.syslog": str(syslog), "audit.reserve": "0"}
        gateway = make_gateway(**settings)
        who = gateway.person("someone")
        for project in ("p", "q"):
            who.new(project)
        with session(who) as (held, shared):
            unlock(who, "p", shared)
            with at_work(who, shared) as program, unwritable(disk / "audit.jsonl", how):
                eventually(lambda: who.ssh("ls").status == 75)  # a full disk has room for some more lines
                refused = mount(who, "q")
                assert refused.status == 75 and ASKED not in refused.err
                still_ends(who, program, shared)
                assert held.wait().status == 0
        for sign in ('"event":"locked"', '"verb":"unmount"', '"verb":"logout"'):
            eventually(lambda sign=sign: any(sign in copy for copy in copies))  # type: ignore[misc]
        gateway.stop()


def test_the_prompt_outlives_an_audit_log_that_cannot_be_written(
    make_gateway: Callable[..., Gateway], ground: Path
) -> None:
    need_root()
    disk = ground / "audit-of-a-prompt"
    with small_disk(disk):
        gateway = make_gateway(**{"paths.audit": f"{disk}/audit.jsonl", "audit.syslog": "", "audit.reserve": "0"})
        who = gateway.person("someone")
        who.new("p")
        terminal = who.terminal()
        terminal.expect(PROMPT)
        terminal.send("mount p\n")
        terminal.expect(ASKED)
        terminal.send(PASSPHRASE + "\n")
        terminal.expect("unlocked p")
        terminal.expect(PROMPT)
        make_read_only(disk)
        terminal.send("whoami\n")
        terminal.expect("the audit log cannot be")
        terminal.expect(PROMPT)
        terminal.send("unmount p\n")
        terminal.expect("locked p")
        terminal.expect(PROMPT)
        terminal.send("exit\n")
        assert terminal.wait() == 75, "that the prompt ended is not recorded either"
        terminal.close()
        gateway.stop()
