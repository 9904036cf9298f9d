"""`locked` in the audit means locked: what stands in the way is ended, what was acknowledged is kept."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.harness import PASSPHRASE, PATIENCE, Gateway, Held, Person, eventually, run
from tests.life import lock_reasons, session, sshfs, unlock

GRACE = 1


@pytest.fixture
def gateway_(make_gateway: Callable[..., Gateway]) -> Gateway:
    return make_gateway(**{"lock.grace": str(GRACE)})


@pytest.fixture
def who(gateway_: Gateway) -> Person:
    someone = gateway_.person("someone")
    someone.new("work")
    return someone


def pids(gateway: Gateway, *signs: str) -> list[int]:
    """Of the session's processes, those whose program or arguments have one of `signs`."""
    return [pid for pid, args in gateway.session_processes().items() if any(sign in args for sign in signs)]


def programs(gateway: Gateway) -> list[int]:
    """Attached programs without their bubblewrap."""
    found = gateway.session_processes().items()
    return [pid for pid, args in found if args.split()[0].rsplit("/", 1)[-1] in ("sftp-server", "rsync", "scp")]


def mounted(pid: int) -> bool:
    """Whether the mount namespace of `pid` has a view."""
    try:
        return "fuse.gocryptfs" in Path(f"/proc/{pid}/mountinfo").read_text()
    except OSError:  # it is exiting, and has no namespace any more
        return False


def free(gateway: Gateway, project: str) -> bool:
    """Whether nobody holds the vault's lock."""
    (path,) = gateway.vaults.glob(f"*/{project}/lock")
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def locked_for_certain(
    gateway: Gateway, project: str, act: Callable[[], object], seconds: float = 30
) -> dict[str, object]:
    """`act`, wait for the `locked` record, look at once at all that it promises, and return it."""
    (server,) = pids(gateway, "/usr/bin/gocryptfs")
    handle = os.pidfd_open(server)
    holders = programs(gateway)
    try:
        act()
        deadline = time.monotonic() + seconds
        while not (records := gateway.events("locked", project=project)):
            assert time.monotonic() < deadline, f"not locked within {seconds} s"
        with pytest.raises(ProcessLookupError):
            signal.pidfd_send_signal(handle, signal.SIGURG)
    finally:
        os.close(handle)
    assert not [pid for pid in holders if os.path.exists(f"/proc/{pid}")], "an attached program is alive"
    for pid in gateway.session_processes():
        with contextlib.suppress(FileNotFoundError):
            assert not mounted(pid)
    assert free(gateway, project)
    return records[-1]


@contextlib.contextmanager
def unmounting(who: Person, shared: tuple[str, ...]) -> Iterator[Callable[[], object]]:
    """What begins an `unmount` in the background, whose success is awaited at the end."""
    started: list[subprocess.Popen[bytes]] = []
    yield lambda: started.append(subprocess.Popen(who.argv("unmount", "work", extra=shared), stdout=subprocess.DEVNULL))
    assert started[0].wait(PATIENCE) == 0


@contextlib.contextmanager
def opened(who: Person) -> Iterator[tuple[Held, tuple[str, ...]]]:
    """A session with the project, which outlives its lock."""
    with session(who) as (held, shared):
        unlock(who, "work", shared)
        yield held, shared


def fsck(gateway: Gateway, project: str) -> int:
    """Stock gocryptfs on the ciphertext."""
    (vault,) = gateway.vaults.glob(f"*/{project}")
    config = str(vault / "slots" / "passphrase.conf")
    return run(["gocryptfs", "-fsck", "-q", "-nosyslog", "-config", config, str(vault / "cipher")], PASSPHRASE).status


def test_nothing_is_left_when_locked_is_said(gateway_: Gateway, who: Person) -> None:
    with opened(who) as (_, shared), unmounting(who, shared) as unmount:
        record = locked_for_certain(gateway_, "work", unmount)
        assert record["reason"] == "unmount" and record["forced"] is False
        assert isinstance(record["took_ms"], int)


def test_a_program_with_an_open_file_does_not_stop_the_lock(gateway_: Gateway, who: Person, tmp_path: Path) -> None:
    with opened(who) as (_, shared), held_open(who, tmp_path) as fd, unmounting(who, shared) as unmount:
        assert programs(gateway_)
        record = locked_for_certain(gateway_, "work", unmount)
        assert record["forced"] is False
        with pytest.raises(OSError, match=r"not connected|Input/output|abort"):
            os.write(fd, b"into nothing")


@contextlib.contextmanager
def held_open(who: Person, at: Path) -> Iterator[int]:
    """A file that sftp-server has open for us."""
    with sshfs(who, "work", at / "mnt", "-o", "sshfs_sync") as mount:
        fd = os.open(mount / "open", os.O_WRONLY | os.O_CREAT)
        try:
            os.write(fd, b"acknowledged")
            yield fd
        finally:
            with contextlib.suppress(OSError):
                os.close(fd)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may stop the gateway's programs")
def test_a_program_that_ignores_sigterm_does_not_stop_the_lock(gateway_: Gateway, who: Person, tmp_path: Path) -> None:
    with opened(who) as (_, shared), held_open(who, tmp_path), unmounting(who, shared) as unmount:
        for pid in programs(gateway_):
            os.kill(pid, signal.SIGSTOP)
        record = locked_for_certain(gateway_, "work", unmount)
        assert record["forced"] is False
        assert GRACE * 1000 <= int(str(record["took_ms"])) < (GRACE + 5) * 1000


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may stop the gateway's programs")
def test_programs_that_fork_and_have_their_directory_in_the_view_do_not_stop_the_lock(
    gateway_: Gateway, who: Person, tmp_path: Path
) -> None:
    """rsync as a receiver: two processes, both in the view, one with an open file; stopped, they ignore SIGTERM."""
    (tmp_path / "large").write_bytes(bytes(5_000_000))
    words = ["rsync", "--bwlimit=100", "-e", "ssh " + " ".join(who.options), str(tmp_path / "large"), "gateway:work/"]
    with opened(who) as (_, shared), unmounting(who, shared) as unmount:
        client = subprocess.Popen(words, stderr=subprocess.DEVNULL)
        eventually(lambda: len([pid for pid in programs(gateway_) if _is_in_a_view(pid)]) == 2)
        for pid in programs(gateway_):
            os.kill(pid, signal.SIGSTOP)
        record = locked_for_certain(gateway_, "work", unmount)
        assert record["forced"] is False
        assert client.wait(PATIENCE) != 0


def _is_in_a_view(pid: int) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return "/projects/work" in os.readlink(f"/proc/{pid}/cwd")
    return False


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may stop gocryptfs")
def test_a_gocryptfs_that_hangs_does_not_stop_the_lock(gateway_: Gateway, who: Person) -> None:
    with opened(who) as (_, shared):
        assert who.sftp("put /etc/hostname work/f", extra=shared).status == 0
        with unmounting(who, shared) as unmount:
            (server,) = pids(gateway_, "/usr/bin/gocryptfs")
            os.kill(server, signal.SIGSTOP)
            record = locked_for_certain(gateway_, "work", unmount)
        assert record["forced"] is True and int(str(record["took_ms"])) < 20_000
        unlock(who, "work", shared)
        assert who.sftp("ls work", extra=shared).status == 0
    eventually(lambda: not gateway_.leftovers())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may kill gocryptfs")
def test_a_gocryptfs_that_dies_is_a_lock_that_is_recorded(gateway_: Gateway, who: Person) -> None:
    with opened(who) as (held, shared):
        (server,) = pids(gateway_, "/usr/bin/gocryptfs")
        os.kill(server, signal.SIGKILL)
        eventually(lambda: lock_reasons(gateway_, "work") == ["failed"])
        held.read_until("gocryptfs ended unexpectedly")
        unlock(who, "work", shared)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may kill sshd's child")
@pytest.mark.parametrize("what", ["the client", "sshd's child"])
def test_a_dropped_connection_locks_gracefully(gateway_: Gateway, who: Person, what: str) -> None:
    with who.mounted("work") as held:

        def drop() -> None:
            if what == "the client":
                held.kill()
                return
            (child,) = [pid for pid, args in gateway_.processes().items() if args.startswith("sshd: enc@")]
            os.kill(child, signal.SIGKILL)

        record = locked_for_certain(gateway_, "work", drop, 5)
        assert record["reason"] == "hangup" and record["forced"] is False
        eventually(lambda: not gateway_.leftovers())


def test_what_was_acknowledged_before_the_lock_is_there_after_it(
    gateway_: Gateway, who: Person, tmp_path: Path
) -> None:
    """Somebody writes as fast as it goes while the view is locked: every write succeeds or fails, none is lost."""
    written: list[int] = []
    failed = threading.Event()

    def write_on(at: Path) -> None:
        fd = os.open(at / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            for number in range(1_000_000):
                os.write(fd, b"%08d\n" % number)
                written.append(number)
        except OSError:
            failed.set()
        finally:
            with contextlib.suppress(OSError):
                os.close(fd)

    with opened(who) as (_, shared), sshfs(who, "work", tmp_path / "mnt", "-o", "sshfs_sync") as at:
        writing = threading.Thread(target=write_on, args=(at,))
        writing.start()
        eventually(lambda: len(written) > 100)
        assert who.ssh("unmount", "work", extra=shared).status == 0
        writing.join(20)
        assert failed.is_set(), "the writer was told nothing"
    assert fsck(gateway_, "work") == 0
    back = tmp_path / "back"
    with who.mounted("work"):
        assert who.sftp(f"get work/log {back}").status == 0
    lines = back.read_text().splitlines()
    assert lines[: len(written)] == [f"{number:08d}" for number in written]


@pytest.mark.parametrize("way", ["unmount", "logout", "kill"])
def test_a_file_written_just_before_the_end_is_whole(gateway_: Gateway, who: Person, tmp_path: Path, way: str) -> None:
    content = tmp_path / "content"
    content.write_bytes(os.urandom(3_000_000))
    with who.mounted("work") as held:
        assert who.sftp(f"put {content} work/f").status == 0
        if way == "kill":
            held.kill()
        else:
            assert who.ssh(way, *(["work"] if way == "unmount" else [])).status == 0
        eventually(lambda: lock_reasons(gateway_, "work"))
    eventually(lambda: not gateway_.leftovers())
    assert fsck(gateway_, "work") == 0
    with who.mounted("work"):
        assert who.sftp(f"get work/f {tmp_path}/back").status == 0
    assert (tmp_path / "back").read_bytes() == content.read_bytes()
