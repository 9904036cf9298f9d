"""`enc mount`: what it makes, what it refuses, and that the monitor takes away what is no longer as it was made."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.harness import Person, eventually, need, need_root, stays
from tests.laptop import Laptop, is_alive, kill, laptop

FAULT = 3.0 + 2.0 + 3.0
"""Seconds: what is promised after a fault, and the slowness of a busy machine."""


@pytest.fixture
def mine(person: Person) -> Iterator[Laptop]:
    """A machine whose user has the projects `one` and `two`."""
    person.new("one")
    person.new("two")
    with laptop(person) as made:
        yield made


def gone(mine: Laptop, at: Path) -> bool:
    """Whether nothing of ours is mounted there, nothing runs for it, and the gateway has it locked."""
    own = [entry for entry in mine.entries() if entry.path == str(at) and entry.type == "fuse.sshfs"]
    return not own and "one" not in mine.state.mounts and "one" not in mine.views()


def test_a_project_is_mounted_for_its_user_alone_and_unmounting_locks_it(mine: Laptop) -> None:
    at = mine.mount("one")
    assert at == mine.home / "enc" / "one"
    assert (at / "file").write_text("content") == 7
    assert at.stat().st_mode & 0o777 == 0o700
    (entry,) = mine.entries()
    assert "allow_other" not in Path("/proc/self/mountinfo").read_text().split(entry.path)[1].splitlines()[0]
    assert mine.views() == ["one"]
    again = mine.enc("mount", "one")
    assert (again.status, again.err.count("\n")) == (73, 1) and str(at) in again.err
    status = mine.enc("status", "--json").json
    about = {"project": "one", "directory": str(at), "condition": "watched"}
    assert status["mounts"] == [{**about, "until": "the program that called enc ends"}]
    done = mine.enc("unmount", "one", "--json")
    assert done.json == {"unmounted": ["one"], "locked": True}
    assert mine.views() == [] and not mine.entries()
    assert not at.exists(), "the directory that we made is left"
    (mine.home / "enc").rmdir()


def test_what_was_written_is_there_after_an_unmount(mine: Laptop) -> None:
    (mine.mount("one") / "file").write_bytes(b"x" * 3_000_000)
    assert mine.enc("unmount", "--all").status == 0
    assert (mine.mount("one") / "file").read_bytes() == b"x" * 3_000_000


def test_a_mount_point_is_private_empty_our_own_and_closed_while_nothing_is_mounted(mine: Laptop) -> None:
    own = mine.home / "own"
    own.mkdir()
    at = mine.mount("one", str(own))
    assert mine.enc("unmount", "one").status == 0
    assert at == own and own.stat().st_mode & 0o777 == 0o500
    full, link, other, file = (mine.home / name for name in ("full", "link", "other", "file"))
    (full / "x").mkdir(parents=True)
    link.symlink_to(own)
    other.mkdir()
    os.chown(other, 12345, 12345)
    file.write_text("")
    for refused, why in (
        (full, "not empty"),
        (link, "symlink"),
        (other, "belongs to another user"),
        (file, "cannot be"),
    ):
        done = mine.enc("mount", "one", str(refused))
        assert (done.status, done.err.count("\n")) == (73, 1) and why in done.err, done
    assert not mine.entries() and mine.views() == []


def _unmount(mine: Laptop) -> None:
    words = ["fusermount3", "-u", mine.mounted("one").directory]
    eventually(lambda: subprocess.run(words, check=False, capture_output=True).returncode == 0, 3)


def _lock_on_the_gateway(mine: Laptop) -> None:
    assert mine.who.ssh("unmount", "one").status == 0


def _kill_the_session(mine: Laptop) -> None:
    """Its warden, without a word. The gateway sweeps the record that stays when it is next called."""
    (record,) = [one for one in mine.gateway.sessions() if one["fingerprint"] == mine.who.fingerprint]
    os.kill(int(str(record["pid"])), signal.SIGKILL)
    eventually(lambda: mine.who.ssh("ls").status == 0 and not mine.views())


def _close_the_sockets_door(mine: Laptop) -> None:
    """`ssh -O stop`: the connection and the session stay, but nothing more can be asked of them."""
    subprocess.run(["ssh", "-F", "none", "-S", mine.store.socket, "-O", "stop", "enc"], check=True, capture_output=True)


def _lose_the_state(mine: Laptop) -> None:
    """As systemd-logind does to $XDG_RUNTIME_DIR when the last login of the user ends."""
    shutil.rmtree(mine.runtime / "enc")


def _damage_the_state(mine: Laptop) -> None:
    (Path(mine.store.directory) / "state.json").write_text('{"mounts": 7}')


FAULTS = [
    pytest.param(lambda mine: kill(mine.mounted("one").sshfs), id="sshfs-killed"),
    pytest.param(lambda mine: kill(mine.mounted("one").sshfs, signal.SIGSTOP), id="sshfs-stopped"),
    pytest.param(lambda mine: kill(mine.state.connection.master), id="connection-killed"),
    pytest.param(lambda mine: kill(mine.state.connection.master, signal.SIGSTOP), id="connection-stopped"),
    pytest.param(_unmount, id="unmounted-by-hand"),
    pytest.param(_lock_on_the_gateway, id="locked-on-the-gateway"),
    pytest.param(_kill_the_session, id="session-killed"),
    pytest.param(_close_the_sockets_door, id="control-socket-closed"),
]


@pytest.mark.parametrize("fault", FAULTS)
def test_after_a_fault_the_mount_is_gone_and_locked_and_can_be_made_again(
    mine: Laptop, fault: Callable[[Laptop], None]
) -> None:
    terminal = mine.terminal()
    at = mine.mount_in(terminal, "one")
    (at / "file").write_text("content")
    fault(mine)
    eventually(lambda: not [entry for entry in mine.entries() if entry.type == "fuse.sshfs"], FAULT)
    terminal.expect("one is no longer mounted at", FAULT)
    eventually(lambda: "one" not in mine.state.mounts and "one" not in mine.views())
    assert not at.exists()
    assert mine.mount_in(terminal, "one") == at
    assert (at / "file").read_text() == "content"
    terminal.close()
    eventually(mine.is_clean, FAULT)
    assert terminal.seen.count("no longer") == 1, "it was told once"


LOSSES = [
    pytest.param(_lose_the_state, id="gone"),
    pytest.param(_damage_the_state, id="damaged"),
]


@pytest.mark.parametrize("lose", LOSSES)
def test_what_is_mounted_when_its_record_is_lost_is_taken_away(mine: Laptop, lose: Callable[[Laptop], None]) -> None:
    terminal = mine.terminal()
    mine.mount_in(terminal, "one")
    mine.mount_in(terminal, "two")
    file = Path(mine.store.directory) / "state.json"
    stays(lambda: sorted(mine.views()) == ["one", "two"], 1)  # what only just starts has read nothing yet
    lose(mine)
    eventually(lambda: not mine.entries() and not mine.views() and not mine.processes(), FAULT)
    terminal.expect("state.json is", FAULT)
    if file.exists():
        done = mine.enc("mount", "one")
        assert (done.status, done.err.count("\n")) == (65, 1) and str(file) in done.err, done
        file.unlink()
    mine.mount_in(terminal, "one")
    terminal.close()
    eventually(mine.is_clean, FAULT)
    for project in ("one", "two"):
        assert terminal.seen.count(f"{project} was unmounted") == 1, terminal.seen


def test_when_all_that_look_after_a_mount_are_killed_at_once_it_is_gone_and_locked(mine: Laptop) -> None:
    mine.mount("one")
    mine.mount("two")
    state = mine.state
    (terminal,) = state.terminals.values()
    for process in (terminal.watchdog, state.mounts["one"].monitor, state.mounts["two"].monitor):
        kill(process, signal.SIGSTOP)
    kill(state.mounts["one"].monitor)
    kill(terminal.watchdog)
    stays(lambda: sorted(mine.views()) == ["one", "two"] and len(mine.entries()) == 2, 1)
    kill(state.mounts["two"].monitor)
    eventually(lambda: not mine.views() and not mine.entries() and not mine.processes(), 5)
    assert mine.mount("one").is_mount()


def test_a_session_of_ours_elsewhere_is_not_taken_for_that_of_the_connection(mine: Laptop) -> None:
    """Without its own session, a channel of a connection finds the principal's only one."""
    assert mine.enc("login").status == 0
    before = mine.state.connection
    with mine.who.mounted("two"):
        words = [*mine.environment(), "enc", "run", "two", "--", "sleep", "60"]
        running = subprocess.Popen(words, stdin=subprocess.DEVNULL)  # keeps the connection when its session has ended
        try:
            eventually(lambda: any("sleep" in args for args in mine.gateway.session_processes().values()))
            (own,) = [one for one in mine.gateway.sessions() if before and one["id"] == before.session]
            os.kill(int(str(own["pid"])), signal.SIGKILL)
            eventually(lambda: len(mine.views()) == 1)
            mine.mount("one")
            after = mine.state.connection
            assert before and after and after.session != before.session
            holders = [one["id"] for one in mine.gateway.sessions() if "one" in str(one["views"])]
            assert holders == [after.session]
        finally:
            running.kill()
            running.wait()
    assert mine.enc("unmount", "one").status == 0


@contextlib.contextmanager
def covered(mine: Laptop, at: Path, to_undo: Path) -> Iterator[None]:
    """A file system of somebody else's at `at`, until the end of the block, and it must be there all the time."""
    subprocess.run(["mount", "-t", "tmpfs", "cover", str(at)], check=True)
    (at / "theirs").write_text("theirs")
    covers = [entry for entry in mine.entries() if entry.source == "cover"]
    try:
        yield
        stays(lambda: [entry.id for entry in mine.entries() if entry.source == "cover"] == [covers[0].id], 1)
    finally:
        # what is mounted into a dead file system cannot be reached by its path any more
        subprocess.run(["umount", *(["-l"] if at != to_undo else []), str(to_undo)], check=True)


@pytest.mark.parametrize("sharing", ["private", "shared"])
def test_what_is_mounted_over_a_mount_of_roots_stays_while_that_is_taken_away_beneath(
    mine: Laptop, sharing: str
) -> None:
    need_root()
    subprocess.run(["mount", "--bind", mine.home, mine.home], check=True)
    subprocess.run(["mount", f"--make-{sharing}", mine.home], check=True)  # as / is where there is systemd
    try:
        at = mine.mount("one")
        (at / "file").write_text("content")
        with covered(mine, at, at):
            with (at / "theirs").open() as held:
                eventually(lambda: gone(mine, at), FAULT)
                assert (at / "theirs").read_text() == "theirs" == held.read()
            assert mine.mount("one", str(mine.home / "two")).is_mount(), "it can be mounted again"
        assert list(at.iterdir()) == []
        assert mine.enc("unmount", "one").status == 0
        at.rmdir()
    finally:
        subprocess.run(["umount", "-l", mine.home], check=True)


@pytest.mark.alone  # whoever walks by a dead mount, as bwrap does, has the kernel detach what is in it
def test_what_is_mounted_into_a_mount_stays_and_holds_it_dead(mine: Laptop) -> None:
    at = mine.mount("one")
    (at / "file").write_text("content")
    (at / "directory").mkdir()
    held = os.open(at / "file", os.O_RDONLY)
    with covered(mine, at / "directory", at):
        eventually(lambda: not is_alive(mine.mounted("one").sshfs) and mine.views() == [], FAULT)
        with pytest.raises(OSError, match=r"not connected|abort"):
            os.pread(held, 1, 0)
    with contextlib.suppress(OSError):  # the end of it fails, too
        os.close(held)
    eventually(lambda: gone(mine, at), 5 + FAULT)


def test_a_directory_that_is_replaced_or_mounted_elsewhere_is_tampering(mine: Laptop) -> None:
    (mine.home / "place").mkdir()
    at = mine.mount("one", str(mine.home / "place" / "one"))
    (mine.home / "place").rename(mine.home / "moved")
    at.mkdir(parents=True)
    (at / "theirs").write_text("theirs")
    eventually(lambda: not mine.entries() and mine.views() == [], FAULT)
    assert (at / "theirs").read_text() == "theirs"
    second, bound = mine.mount("two"), mine.home / "bound"
    sshfs = mine.mounted("two").sshfs
    bound.mkdir()
    subprocess.run(["mount", "--bind", str(second), str(bound)], check=True)
    try:
        eventually(lambda: not is_alive(sshfs) and mine.views() == [], FAULT)
        assert os.path.ismount(bound) or [entry for entry in mine.entries() if entry.path == str(bound)]
    finally:
        subprocess.run(["umount", "-l", str(bound)], check=True)


def test_a_mount_point_removed_from_another_namespace_takes_the_mount_with_it(mine: Laptop) -> None:
    at = mine.mount("one")
    script = f"umount {at} && rmdir {at}"
    subprocess.run(["unshare", "--mount", "--propagation", "private", "sh", "-ec", script], check=True)
    eventually(lambda: gone(mine, at), FAULT)


def test_monitor_and_watchdog_start_each_other_again_when_killed(mine: Laptop) -> None:
    mine.mount("one")
    (terminal,) = mine.state.terminals.values()
    kill(terminal.watchdog)
    eventually(lambda: is_alive(now := mine.state.terminals[terminal.id].watchdog) and now != terminal.watchdog, FAULT)
    monitor = mine.mounted("one").monitor
    kill(monitor)
    eventually(lambda: mine.mounted("one").monitor != monitor and is_alive(mine.mounted("one").monitor), FAULT)
    assert mine.views() == ["one"] and len(mine.entries()) == 1


def test_looking_after_a_mount_keeps_nothing_unlocked_and_counts_as_nothing(mine: Laptop) -> None:
    mine.mount("one")
    before = [one["idle"] for one in mine.enc("status", "--json").json["sessions"]]  # type: ignore[attr-defined]
    time.sleep(4)
    after = [one["idle"] for one in mine.enc("status", "--json").json["sessions"]]  # type: ignore[attr-defined]
    assert after[0] >= before[0] + 3


def test_a_busy_mount_is_not_unmounted_without_force_and_says_who_uses_it(mine: Laptop) -> None:
    at = mine.mount("one")
    with (at / "file").open("w") as file:
        done = mine.enc("unmount", "one")
        assert (done.status, done.err.count("\n")) == (75, 1) and str(os.getpid()) in done.err, done
        stays(lambda: len(mine.entries()) == 1 and mine.views() == ["one"], 4)
        file.write("still there")
    assert mine.enc("unmount", "one").status == 0
    assert (mine.mount("one") / "file").read_text() == "still there"
    held = os.open(at / "file", os.O_RDONLY)
    try:
        assert mine.enc("unmount", "--force", "one").status == 0
        assert mine.views() == [] and not mine.entries()
        with pytest.raises(OSError, match=r"not connected|abort"):
            os.pread(held, 1, 0)
    finally:
        with contextlib.suppress(OSError):  # the end of it fails, too
            os.close(held)


def test_what_a_crash_of_everything_left_is_swept_by_the_next_call(mine: Laptop) -> None:
    at = mine.mount("one")
    state = mine.state
    assert state.connection
    (terminal,) = state.terminals.values()
    everything = (terminal.watchdog, state.mounts["one"].monitor, state.mounts["one"].sshfs, state.connection.master)
    for number in (signal.SIGSTOP, signal.SIGKILL):  # each of the first two would start the other again
        for process in everything:
            kill(process, number)
    eventually(lambda: mine.views() == [])
    assert mine.entries(), "the dead mount is still in the table"
    assert mine.mount("one") == at
    assert len(mine.entries()) == 1 and os.listdir(at) is not None


def test_symlinks_out_of_the_mount_are_not_followed(mine: Laptop) -> None:
    has = subprocess.run(["sshfs", "--help"], capture_output=True, text=True, check=False)
    need("contain_symlinks" in has.stdout + has.stderr, "this sshfs has CVE-2026-47187", but_not_on="ubuntu")
    at = mine.mount("one")
    (at / "inside").write_text("inside")
    (at / "good").symlink_to("inside")
    assert (at / "good").read_text() == "inside"
    for target in ("/etc/passwd", "../../../../etc/passwd"):
        with pytest.raises(OSError, match=r"."):
            _read_through_symlink(at / "bad", target)
        (at / "bad").unlink(missing_ok=True)


def _read_through_symlink(link: Path, target: str) -> None:
    link.symlink_to(target)
    link.read_text()


def test_a_kill_of_enc_half_way_leaves_nothing(mine: Laptop) -> None:
    assert mine.enc("login").status == 0
    words = [*mine.environment(ENC_PASSPHRASE_COMMAND="sleep 60"), "enc", "mount", "one"]
    halfway = subprocess.Popen(words, stdin=subprocess.DEVNULL)
    eventually(lambda: "one" in mine.state.mounts)
    halfway.kill()
    halfway.wait()
    eventually(lambda: "one" not in mine.state.mounts, FAULT)
    assert mine.mount("one")
