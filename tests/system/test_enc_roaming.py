"""`enc` when the network goes, when the machine sleeps, and as an ordinary user."""

from __future__ import annotations

import getpass
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.harness import Gateway, Person, bindir, eventually, need, need_root, open_files, parent
from tests.laptop import Laptop, is_alive, kill, laptop, processes_of
from tests.system.test_vanished_network import private_network

ACCOUNT = "enc-laptop"
FAULT = 3.0 + 2.0 + 3.0
"""Seconds: what is promised after a fault, and the slowness of a busy machine."""


def test_when_the_network_vanishes_the_mount_is_gone_and_it_can_be_mounted_at_once_when_it_is_back(
    make_gateway: Callable[..., Gateway],
) -> None:
    need_root()
    with private_network():
        gateway = make_gateway()
        who = gateway.person("roamer")
        who.new("one")
        with laptop(who) as mine:
            at = mine.mount("one")
            (at / "file").write_text("content")
            subprocess.run(["ip", "link", "set", "lo", "down"], check=True)
            eventually(lambda: not mine.entries(), FAULT)
            eventually(lambda: not at.exists(), 2)
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
            assert (mine.mount("one") / "file").read_text() == "content"


def test_what_a_lost_session_still_has_is_taken_from_it(person: Person) -> None:
    """As after a change of network: the gateway still waits for the old connection while the new one is there."""
    need_root()
    person.new("one")
    with laptop(person) as mine:
        mine.mount("one")
        (record,) = [one for one in mine.gateway.sessions() if one["fingerprint"] == person.fingerprint]
        above = int(str(record["pid"]))
        while not Path(f"/proc/{above}/cmdline").read_text().startswith("sshd: enc"):
            above = parent(above)
        os.kill(above, signal.SIGSTOP)
        try:
            assert mine.state.connection
            kill(mine.state.connection.master)
            eventually(lambda: not mine.entries(), FAULT)
            assert mine.views() == ["one"], "the gateway cannot know yet"
            assert mine.mount("one").is_mount()
        finally:
            os.kill(above, signal.SIGCONT)


def test_after_a_suspend_the_stale_mount_is_gone_within_5_s(person: Person) -> None:
    """A suspend that the gateway did not outwait, as far as it can be simulated: all of ours is stopped at once."""
    person.new("one")
    with laptop(person) as mine:
        mine.mount("one")
        mine.signal(signal.SIGSTOP)
        assert person.ssh("logout", "--all").status == 0  # as it does itself after 8 to 16 s of silence
        mine.signal(signal.SIGCONT)
        eventually(lambda: not mine.entries(), 5 + 2)
        assert mine.mount("one").is_mount()


@pytest.fixture
def logind(tmp_path: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A system bus with a logind on it: its address, and the process (tests/logind.py)."""
    for program in ("dbus-daemon", "gdbus", "systemd-inhibit"):
        need(shutil.which(program) is not None, f"a desktop's {program} is not installed")
    address = f"unix:path={tmp_path}/bus"
    bus = subprocess.Popen(["dbus-daemon", "--session", "--nofork", "--nopidfile", f"--address={address}"])
    try:
        eventually(lambda: (tmp_path / "bus").exists())
        environment = {**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": address}
        words = [sys.executable, str(Path(__file__).parents[1] / "logind.py")]
        service = subprocess.Popen(words, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert service.stdin and service.stdout
        assert service.stdout.readline() == "ready\n"
        yield address, service
        service.stdin.close()
        service.wait()
        service.stdout.close()
    finally:
        bus.terminate()
        bus.wait()


def test_where_there_is_logind_everything_is_locked_before_the_machine_sleeps(
    person: Person, logind: tuple[str, subprocess.Popen[str]]
) -> None:
    address, service = logind
    assert service.stdin and service.stdout
    person.new("one")
    with laptop(person) as mine:
        terminal = mine.terminal(DBUS_SYSTEM_BUS_ADDRESS=address)
        mine.mount_in(terminal, "one")
        assert service.stdout.readline() == "held\n"
        service.stdin.write("sleep\n")
        service.stdin.flush()
        assert service.stdout.readline() == "released\n", "the machine may sleep"
        assert not mine.entries() and mine.views() == []
        terminal.expect("this machine is going to sleep")
        mine.mount_in(terminal, "one")
        assert service.stdout.readline() == "held\n"
        terminal.close()
        eventually(mine.is_clean, FAULT)


def test_the_doctor_says_whether_a_suspend_waits_for_the_lock(
    person: Person, logind: tuple[str, subprocess.Popen[str]], tmp_path: Path
) -> None:
    less = tmp_path / "bin"
    less.mkdir()
    for program in ("ssh", "ssh-keygen", "sshfs", "fusermount3", "setpriv", "systemd-inhibit", "env", "true"):
        (less / program).symlink_to(str(shutil.which(program)))
    with laptop(person) as mine:
        path = f"{bindir()}:{less}"
        for more, says in (({}, "ok"), ({"PATH": path}, "warning")):
            done = mine.enc("doctor", "--json", DBUS_SYSTEM_BUS_ADDRESS=logind[0], **more)
            (found,) = [one for one in json.loads(done.out)["findings"] if one["about"] == "sleep"]
            assert found["level"] == says, found
        assert "gdbus is missing" in found["says"]


def test_a_transfer_over_a_slow_line_is_not_taken_for_a_fault(make_gateway: Callable[..., Gateway]) -> None:
    need_root()
    with private_network():
        shaped = ["tc", "qdisc", "add", "dev", "lo", "root", "tbf", "rate", "8mbit", "burst", "256kb", "latency", "4s"]
        gateway = make_gateway()
        who = gateway.person("slow")
        who.new("one")
        with laptop(who) as mine:
            at = mine.mount("one")
            if subprocess.run(shaped, check=False, capture_output=True).returncode:
                pytest.skip("this kernel has no tbf")
            began = time.monotonic()
            (at / "file").write_bytes(os.urandom(6_000_000))
            assert time.monotonic() - began > 3
            assert len(mine.entries()) == 1
            subprocess.run(["tc", "qdisc", "del", "dev", "lo", "root"], check=True)
            assert (at / "file").stat().st_size == 6_000_000


@pytest.fixture
def ordinary(person: Person) -> Iterator[Laptop]:
    """The machine of an account that exists for this test alone."""
    need_root()
    name = f"{ACCOUNT}-{os.urandom(4).hex()}"  # one that a killed run left is in nobody's way
    subprocess.run(["useradd", "--no-create-home", "--shell", "/bin/sh", name], check=True)
    key = person.key.with_name(f"{person.key.name}-{name}")
    try:
        shutil.copy(person.key, key)
        shutil.chown(key, name)
        shutil.copy(f"{person.key}.pub", f"{key}.pub")
        person.new("one")
        with laptop(Person(person.gateway, person.name, key), name) as made:
            made.root.chmod(0o755)
            yield made
    finally:
        for path in (key, Path(f"{key}.pub")):
            path.unlink(missing_ok=True)
        eventually(lambda: not processes_of(name))  # userdel refuses while there are any
        subprocess.run(["userdel", name], check=True)


def test_an_ordinary_user_needs_no_root_for_any_of_it(ordinary: Laptop) -> None:
    own = ordinary.home / "own"
    own.mkdir(mode=0o700)
    shutil.chown(own, ordinary.account)
    terminal = ordinary.terminal()
    at = ordinary.mount_in(terminal, "one", str(own))
    as_user = ordinary.environment()
    write = [*as_user, "sh", "-c", f"echo content >{at}/file && stat -c %U {at}/file"]
    assert subprocess.run(write, capture_output=True, text=True, check=True).stdout == f"{ordinary.account}\n"
    with pytest.raises(PermissionError):
        os.listdir(at)  # not even root: no allow_other
    kill(ordinary.mounted("one").sshfs, signal.SIGSTOP)
    terminal.expect("one is no longer mounted at", FAULT)
    eventually(lambda: not ordinary.entries() and ordinary.views() == [])
    saved = subprocess.run([*as_user, "sh", "-c", f"echo plaintext >{at}/file"], capture_output=True, check=False)
    assert saved.returncode != 0, "an editor could have saved plaintext beside the mount"
    assert ordinary.mount_in(terminal, "one", str(own)) == at
    terminal.close()
    eventually(ordinary.is_clean, FAULT)


def test_closing_the_window_of_an_ordinary_user_while_a_program_uses_the_mount(ordinary: Laptop) -> None:
    terminal = ordinary.terminal()
    at = ordinary.mount_in(terminal, "one")
    holder = subprocess.Popen([*ordinary.environment(), "sh", "-c", f"exec 3>{at}/file; exec sleep 60"])
    try:
        eventually(lambda: f"{at}/file" in open_files(holder.pid))
        terminal.close()
        eventually(ordinary.is_clean, FAULT)
    finally:
        holder.kill()
        holder.wait()


def test_what_covers_the_mount_of_an_ordinary_user_stays_and_holds_it_dead(ordinary: Laptop) -> None:
    """Only root could take it away beneath; nothing can be read through it from the fault on."""
    terminal = ordinary.terminal()
    at = ordinary.mount_in(terminal, "one")
    subprocess.run(["mount", "-t", "tmpfs", "cover", str(at)], check=True)
    try:
        terminal.expect("another file system was mounted over it", FAULT)
        eventually(lambda: ordinary.views() == [])
        assert not is_alive(ordinary.mounted("one").sshfs)
        again = ordinary.enc("mount", "one")
        assert (again.status, again.err.count("\n")) == (73, 1) and "while something is mounted over it" in again.err
    finally:
        subprocess.run(["umount", str(at)], check=True)
    eventually(lambda: "one" not in ordinary.state.mounts and not ordinary.entries(), 3 + FAULT)
    terminal.close()
    assert terminal.seen.count("no longer") == 1, "it was told once"
    eventually(ordinary.is_clean, FAULT)


def test_a_jump_host_of_the_users_ssh_config_is_used_for_everything(
    person: Person, jump: tuple[int, Path], tmp_path: Path
) -> None:
    port, log = jump
    person.new("one")
    plain = person.gateway.ssh_config.read_text()
    config = tmp_path / "ssh_config"
    known = f"    UserKnownHostsFile {tmp_path}/known_hosts\n    StrictHostKeyChecking yes\n"
    keys = f"    IdentityFile {person.key}\n    IdentitiesOnly yes\n"
    config.write_text(
        f"{plain.rstrip()}\n    ProxyJump jump\n"
        f"Host jump\n    HostName 127.0.0.1\n    Port {port}\n    User {getpass.getuser()}\n{known}{keys}"
    )
    own = {"ENC_SSH_CONFIG": str(config)}
    with laptop(person) as mine:
        at = mine.mount("one", **own)
        (at / "file").write_text("content")
        assert mine.enc("ls", **own).status == 0
        assert log.read_text().count("Accepted publickey") == 1, "one connection carries it all"
        (terminal,) = mine.state.terminals.values()
        for each in (terminal.watchdog, mine.mounted("one").monitor):
            kill(each, signal.SIGSTOP)
        for each in (terminal.watchdog, mine.mounted("one").monitor):
            kill(each)
        eventually(lambda: not mine.entries() and not mine.views() and not mine.processes(), FAULT)
        assert (mine.mount("one", **own) / "file").read_text() == "content"
        assert mine.enc("logout", **own).status == 0
        running = ["ps", "-ww", "-eo", "args="]
        eventually(
            lambda: str(config) not in subprocess.run(running, capture_output=True, text=True, check=True).stdout
        )


@pytest.fixture
def jump(person: Person, tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """A jump host: an sshd of the test's own, which lets the person in and knows no gateway. Its port, and its log."""
    need_root()
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "host"], check=True)
    shutil.copy(f"{person.key}.pub", tmp_path / "authorized_keys")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    kind, key = (tmp_path / "host.pub").read_text().split()[:2]
    (tmp_path / "known_hosts").write_text(f"[127.0.0.1]:{port} {kind} {key}\n")
    log, lines = tmp_path / "log", [f"ListenAddress 127.0.0.1:{port}", f"HostKey {tmp_path}/host"]
    lines += [f"AuthorizedKeysFile {tmp_path}/authorized_keys", "StrictModes no", "UsePAM no", "PidFile none"]
    (tmp_path / "sshd_config").write_text("\n".join(lines) + "\n")
    words = ["/usr/sbin/sshd", "-D", "-f", str(tmp_path / "sshd_config"), "-E", str(log)]
    server = subprocess.Popen(words)
    try:
        eventually(lambda: log.exists() and "listening" in log.read_text())
        yield port, log
    finally:
        server.terminate()
        server.wait()
