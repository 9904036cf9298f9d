"""The view ends with what holds it, nothing of it is left, and what was acknowledged before is there afterwards."""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.harness import (
    PASSPHRASE,
    Gateway,
    Held,
    Person,
    Terminal,
    alive,
    eventually,
    need_root,
    parent,
    run,
    stays,
)

SOON = 10.0
"""Seconds within which a view is gone after what held it."""

CONTENT = os.urandom(300_000)
BIG = os.urandom(24_000_000)


@dataclass(frozen=True)
class Scene:
    """An unlocked project, and who holds it."""

    gateway: Gateway
    person: Person
    project: str
    holder: Held | Terminal

    def client(self) -> int:
        return self.holder.process.pid if isinstance(self.holder, Held) else self.holder.pid

    def bwrap(self) -> int:
        return parent(self.gateway.warden())

    def waiter(self) -> int:
        """The shell that sshd has started in the end, and waits for."""
        return parent(self.bwrap())

    def kill(self, pid: int, number: signal.Signals = signal.SIGKILL) -> None:
        os.kill(pid, number)


def _stop_gateway(scene: Scene, number: signal.Signals) -> None:
    assert scene.gateway.stop(number) == 0


def _unmount(scene: Scene) -> None:
    assert scene.person.ssh("unmount", scene.project).status == 0


def _ctrl_c(scene: Scene) -> None:
    assert isinstance(scene.holder, Terminal)
    scene.holder.send("\x03")
    scene.holder.expect(f"locked {scene.project}")
    assert scene.holder.wait() == 0


def _close_window(scene: Scene) -> None:
    assert isinstance(scene.holder, Terminal)
    scene.holder.close()


End = Callable[[Scene], None]

ENDS: list[tuple[str, End, str]] = [
    ("the-ssh-client-is-killed", lambda scene: scene.kill(scene.client()), "hangup"),
    ("sshd-s-monitor-is-killed", lambda scene: scene.kill(parent(parent(scene.waiter()))), "hangup"),
    ("sshd-s-session-process-is-killed", lambda scene: scene.kill(parent(scene.waiter())), "hangup"),
    ("what-sshd-waits-for-is-killed", lambda scene: scene.kill(scene.waiter()), "hangup"),
    ("the-warden-is-killed", lambda scene: scene.kill(scene.gateway.warden()), "found-dead"),
    ("the-outer-bwrap-is-killed", lambda scene: scene.kill(scene.bwrap()), "killed"),
    ("the-outer-bwrap-is-terminated", lambda scene: scene.kill(scene.bwrap(), signal.SIGTERM), "killed"),
    ("the-warden-is-terminated", lambda scene: scene.kill(scene.gateway.warden(), signal.SIGTERM), "shutdown"),
    ("its-user-unmounts", _unmount, "unmount"),
]

TERMINAL_ENDS: list[tuple[str, End, str]] = [
    ("ctrl-c-is-typed", _ctrl_c, "logout"),
    ("the-window-is-closed", _close_window, "hangup"),
    ("sshd-s-monitor-is-killed", lambda scene: scene.kill(parent(parent(scene.waiter()))), "hangup"),
]

GATEWAY_ENDS: list[tuple[str, End, str]] = [
    ("the-gateway-is-terminated", lambda scene: _stop_gateway(scene, signal.SIGTERM), "shutdown"),
    ("the-gateway-is-interrupted", lambda scene: _stop_gateway(scene, signal.SIGINT), "shutdown"),
]


def _table(rows: list[tuple[str, End, str]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("end", "reason"), [pytest.param(*row[1:], id=row[0]) for row in rows])


def _check_locked(scene: Scene, processes: set[int], reason: str) -> None:
    """Nothing is left of the view, and the audit says why it ended."""
    assert processes
    eventually(lambda: not any(map(alive, processes)), SOON)
    if reason == "found-dead":  # the next caller sweeps and records what a killed warden could not
        assert scene.person.ssh("status", "--json").json["sessions"] == []
    eventually(lambda: not scene.gateway.leftovers(), SOON)
    found = [event["reason"] for event in scene.gateway.events("locked", fingerprint=scene.person.fingerprint)]
    assert found == [reason]


def _check_intact(scene: Scene, tmp_path: Path, *names: str) -> None:
    """The project can be unlocked at once and has CONTENT in the files `names`; fsck finds nothing."""
    assert scene.person.ssh("status", "--json").json["sessions"] == []
    with scene.person.mounted(scene.project):
        for name in names:
            copy = tmp_path / f"again-{name}"
            assert scene.person.sftp(f"get {scene.project}/{name} {copy}").status == 0
            assert copy.read_bytes() == CONTENT
        assert scene.person.ssh("unmount", scene.project).status == 0
    checked = scene.person.fsck(scene.project)
    assert checked.status == 0, checked


def _put(person: Person, project: str, tmp_path: Path, name: str = "put") -> None:
    (tmp_path / name).write_bytes(CONTENT)
    assert person.sftp(f"put {tmp_path / name} {project}/{name}").status == 0


@contextlib.contextmanager
def _attached(person: Person, project: str, tmp_path: Path) -> Iterator[None]:
    """An sftp client that is idle inside the project, and an sshfs; at the end of the block, both have to be over."""
    _put(person, project, tmp_path)
    idle = person.sftp_terminal()
    idle.send(f"cd {project}\n")
    idle.expect("sftp> ")
    with person.sshfs(project, tmp_path / "mnt") as sshfs:
        (tmp_path / "mnt" / "through-sshfs").write_bytes(CONTENT)
        yield
        sshfs.wait(SOON)
        assert not (tmp_path / "mnt" / "through-sshfs").exists()
    idle.expect("Connection closed")
    idle.send("ls\n")
    assert idle.wait() != 0


@contextlib.contextmanager
def _in_terminal(person: Person, project: str) -> Iterator[Terminal]:
    terminal = person.terminal("mount", project)
    terminal.expect("Passphrase")
    terminal.send(PASSPHRASE + "\n")
    terminal.expect("unlocked")
    yield terminal
    with contextlib.suppress(OSError, ChildProcessError):  # where the test closed it
        terminal.close()


@pytest.fixture
def control() -> Iterator[Path]:
    """A path for a ControlMaster's socket (a socket's path is short, and pytest's own are not)."""
    with tempfile.TemporaryDirectory(prefix="enc-cm-") as name:
        yield Path(name) / "socket"


@pytest.fixture(autouse=True)
def _as_root() -> None:
    need_root()


@_table(ENDS)
def test_view_ends_when(end: End, reason: str, gateway: Gateway, person: Person, project: str, tmp_path: Path) -> None:
    with person.mounted(project) as held, _attached(person, project, tmp_path):
        scene, processes = Scene(gateway, person, project, held), set(gateway.session_processes())
        end(scene)
        _check_locked(scene, processes, reason)
    _check_intact(scene, tmp_path, "put", "through-sshfs")


@_table(TERMINAL_ENDS)
def test_view_held_in_a_terminal_ends_when(
    end: End, reason: str, gateway: Gateway, person: Person, project: str, tmp_path: Path
) -> None:
    with _in_terminal(person, project) as terminal, _attached(person, project, tmp_path):
        scene, processes = Scene(gateway, person, project, terminal), set(gateway.session_processes())
        end(scene)
        _check_locked(scene, processes, reason)
    _check_intact(scene, tmp_path, "put", "through-sshfs")


@_table(GATEWAY_ENDS)
def test_view_ends_when_all_of_it_ends(
    end: End, reason: str, make_gateway: Callable[..., Gateway], tmp_path: Path
) -> None:
    gateway = make_gateway()
    person = gateway.person(f"owner-{reason}-{gateway.root.parent.name}")
    person.new("myproj")
    with person.mounted("myproj") as held, _attached(person, "myproj", tmp_path):
        scene, processes = Scene(gateway, person, "myproj", held), set(gateway.processes())
        end(scene)
        _check_locked(scene, processes, reason)
        assert held.wait().status != 0
    gateway.start()
    _check_intact(scene, tmp_path, "put", "through-sshfs")


def test_view_ends_when_its_channel_closes_on_a_connection_that_stays(
    gateway: Gateway, person: Person, project: str, tmp_path: Path, control: Path
) -> None:
    shared = ("-o", f"ControlPath={control}")
    master = Held(person.argv(extra=(*shared, "-M", "-N")), "")
    try:
        eventually(control.exists)
        with person.mounted(project, extra=shared) as held, _attached(person, project, tmp_path):
            scene, processes = Scene(gateway, person, project, held), set(gateway.session_processes())
            held.kill()
            _check_locked(scene, processes, "hangup")
            assert person.ssh("whoami", extra=shared).status == 0
            assert master.process.poll() is None
    finally:
        master.end()
    _check_intact(scene, tmp_path, "put", "through-sshfs")


@_table(
    [row for row in ENDS if row[0] in ("the-ssh-client-is-killed", "the-warden-is-terminated", "its-user-unmounts")]
)
def test_an_upload_is_cut_off_and_what_came_before_is_intact_when(
    end: End, reason: str, gateway: Gateway, person: Person, project: str, tmp_path: Path
) -> None:
    with person.mounted(project) as held:
        _put(person, project, tmp_path)
        uploading = _upload(person, project, tmp_path)
        scene, processes = Scene(gateway, person, project, held), set(gateway.session_processes())
        end(scene)
        _check_locked(scene, processes, reason)
        assert uploading.wait() != 0
    assert gateway.events("locked", fingerprint=person.fingerprint, forced=False)
    _check_intact(scene, tmp_path, "put")


def _upload(person: Person, project: str, tmp_path: Path) -> Terminal:
    """An sftp that is in the middle of putting `big` into the project, slowly."""
    (tmp_path / "big").write_bytes(BIG)
    before = _stored(person, project)
    uploading = person.sftp_terminal("-l", "16000")
    uploading.send(f"put {tmp_path / 'big'} {project}/big\n")
    eventually(lambda: _stored(person, project) > before + 500_000)
    return uploading


def _stored(person: Person, project: str) -> int:
    """Bytes of ciphertext on disk."""
    return sum(path.stat().st_size for path in (person.vault(project) / "cipher").iterdir())


def test_end_of_standard_input_alone_does_not_lock(gateway: Gateway, person: Person, project: str) -> None:
    with person.mounted(project) as held:
        assert held.process.stdin is not None and held.process.stdin.closed
        stays(lambda: gateway.sessions() and held.process.poll() is None, 3)
        assert person.ssh("status", "--json").json["sessions"]


def test_a_client_that_is_stopped_for_a_while_is_not_dropped(gateway: Gateway, person: Person, project: str) -> None:
    with person.mounted(project) as held:
        held.kill(signal.SIGSTOP)
        stays(gateway.sessions, 6)
        held.kill(signal.SIGCONT)
        assert person.sftp(f"ls {project}").status == 0
        assert person.ssh("unmount", project).status == 0
        assert held.wait().status == 0


def test_death_of_gocryptfs_locks_as_failed_and_ends_the_session_cleanly(
    gateway: Gateway, person: Person, project: str, tmp_path: Path
) -> None:
    with person.mounted(project, flags=("--json",)) as held, _attached(person, project, tmp_path):
        scene, processes = Scene(gateway, person, project, held), set(gateway.session_processes())
        (gocryptfs,) = [pid for pid, args in gateway.session_processes().items() if args.startswith("/usr/bin/gocr")]
        scene.kill(gocryptfs)
        _check_locked(scene, processes, "failed")
        result = held.wait()
        assert result.status == 75
        assert '"reason": "failed"' in result.out
        assert "Traceback" not in result.err
    assert not gateway.events("fault", fingerprint=person.fingerprint)
    _check_intact(scene, tmp_path, "put")


@pytest.fixture
def two_views(person: Person, control: Path) -> Iterator[tuple[str, ...]]:
    """A session with the projects `one` and `two` unlocked; the options of `ssh` that reach its connection."""
    person.new("one")
    person.new("two")
    shared = ("-o", f"ControlPath={control}")
    held = person.hold("session", extra=("-M", *shared))
    held.read_until("session")
    for project in ("one", "two"):
        unlocked = person.ssh("mount", project, stdin=PASSPHRASE + "\n", extra=shared)
        assert unlocked.status == 0, unlocked
    yield shared
    held.end()


@pytest.mark.usefixtures("two_views")
def test_locking_one_view_does_not_disturb_work_in_another(gateway: Gateway, person: Person, tmp_path: Path) -> None:
    uploading = _upload(person, "two", tmp_path)
    uploading_on = _stored(person, "two")
    assert person.ssh("unmount", "one").status == 0
    assert gateway.events("locked", fingerprint=person.fingerprint, project="one", forced=False)
    eventually(lambda: _stored(person, "two") > uploading_on + 500_000)
    uploading.send("\x03")
    uploading.expect("sftp> ")
    (tmp_path / "small").write_bytes(CONTENT)
    uploading.send(f"put {tmp_path / 'small'} two/small\n")
    uploading.expect("sftp> ")
    uploading.send("bye\n")
    assert uploading.wait() == 0
    assert person.sftp(f"get two/small {tmp_path / 'back'}").status == 0
    assert (tmp_path / "back").read_bytes() == CONTENT
    assert [view["project"] for view in gateway.sessions()[0]["views"]] == ["two"]  # type: ignore[attr-defined]


def test_locking_a_view_ends_who_has_a_file_open_in_it(
    gateway: Gateway, person: Person, two_views: tuple[str, ...], tmp_path: Path
) -> None:
    uploading = _upload(person, "two", tmp_path)
    assert person.ssh("unmount", "two").status == 0
    assert uploading.wait() != 0
    assert [view["project"] for view in gateway.sessions()[0]["views"]] == ["one"]  # type: ignore[attr-defined]
    _put(person, "one", tmp_path)
    assert person.ssh("logout", extra=two_views).status == 0
    eventually(lambda: not gateway.leftovers(), SOON)
    assert person.fsck("two").status == 0


def test_gocryptfs_keeps_no_descriptor_of_the_session(
    gateway: Gateway, person: Person, two_views: tuple[str, ...]
) -> None:
    """But the vault's lock. A program that kept the turn of an attempt would hold up every later one."""
    kept = [
        os.readlink(fd)
        for pid, args in gateway.session_processes().items()
        if args.startswith("/usr/bin/gocryptfs")
        for fd in Path(f"/proc/{pid}/fd").iterdir()
    ]
    assert not [target for target in kept if "attempts" in target or "record" in target or "/session/" in target]
    assert run(person.argv("status", extra=two_views)).status == 0
