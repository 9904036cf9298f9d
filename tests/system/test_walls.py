"""What an attached program, another principal and a cunning client can see and do: nothing but what is theirs."""

from __future__ import annotations

import contextlib
import os
import pwd
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.harness import (
    PASSPHRASE,
    PATIENCE,
    Gateway,
    Held,
    Person,
    Result,
    eventually,
    is_watchdog,
    need_root,
    open_files,
    parent,
    run,
)

NAMESPACES = ("mnt", "user", "pid", "net", "ipc", "uts", "cgroup")


@pytest.fixture
def unlocked(person: Person, project: str) -> Iterator[Held]:
    """The project of `person`, unlocked."""
    with person.mounted(project) as held:
        yield held


# ------------------------------------------------------------------ what an attached program sees and does


def _inside(person: Person, project: str, *commands: str) -> Result:
    """`sftp` with the project's own sftp-server: no router between refuses what the sandbox would not."""
    return person.sftp(*commands, extra=("-s", f"sftp {project}/"))


def _names(person: Person, project: str, directory: str) -> set[str]:
    """What `ls -la` shows below a directory, but . and .."""
    result = _inside(person, project, f"ls -la {directory}")
    assert result.status == 0, result
    lines = [line for line in result.out.splitlines() if not line.startswith("sftp>")]
    return {line.rsplit("/", 1)[-1].split()[-1] for line in lines} - {".", ".."}


@pytest.mark.usefixtures("unlocked")
def test_an_attached_program_sees_the_views_and_usr_alone(person: Person, project: str) -> None:
    merged = {name for name in ("bin", "sbin", "lib", "lib32", "lib64") if os.path.lexists(f"/{name}")}
    assert _names(person, project, "/") == {"dev", "etc", "projects", "usr"} | merged
    assert _names(person, project, "/etc") == {"passwd", "ld.so.cache"}
    assert _names(person, project, "/dev") == {"null", "zero", "urandom"}
    assert _names(person, project, "/projects") == {project}


HIDDEN = (
    *("/home", "/root", "/var", "/tmp", "/run", "/opt", "/srv", "/sys", "/vaults", "/session", "/audit", "/keys"),
    *("/.projects", "/etc/shadow", "/etc/ssh", "/proc", "/dev/fuse", "/dev/shm", "/dev/tty", "/oldroot", "/newroot"),
)


@pytest.mark.usefixtures("unlocked")
def test_an_attached_program_sees_nothing_else_of_the_host_or_the_session(person: Person, project: str) -> None:
    said = _inside(person, project, *(f"-ls -la {path}" for path in HIDDEN))
    for path in HIDDEN:
        assert f'"{path}" not found' in said.err, path


@pytest.mark.usefixtures("unlocked")
def test_an_attached_program_has_a_passwd_with_one_account(person: Person, project: str, tmp_path: Path) -> None:
    assert _inside(person, project, f"get /etc/passwd {tmp_path / 'passwd'}").status == 0
    (line,) = (tmp_path / "passwd").read_text().splitlines()
    assert line.startswith("enc:x:")


@pytest.mark.usefixtures("unlocked")
def test_only_the_views_are_writable(person: Person, project: str, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    places = ("/", "/projects", "/usr", "/usr/bin", "/etc", "/dev", "/proc", "/proc/sys/kernel", "/proc/1/root")
    commands = [f"-put {tmp_path / 'f'} {place}/f" for place in places]
    commands += [f"-mkdir {place}/d" for place in places]
    commands += [f"-put {tmp_path / 'f'} {file}" for file in ("/etc/passwd", "/proc/sys/kernel/core_pattern")]
    commands += ["-chmod 777 /", "-chmod 777 /projects", "-chmod 777 /etc/passwd", "-chmod 777 /usr/bin/env"]
    commands += [f"-rename /projects/{project} /projects/other", f"-rmdir /projects/{project}"]
    commands += ["-symlink /etc /projects/link", "-rm /etc/passwd", "-rm /usr/bin/env"]
    said = _inside(person, project, *commands)
    failures = [line for line in said.err.splitlines() if line.strip()]
    assert len(failures) == len(commands), said
    assert _inside(person, project, f"put {tmp_path / 'f'} {project}/f", f"rm {project}/f").status == 0
    assert _names(person, project, "/projects") == {project}


@pytest.mark.usefixtures("unlocked")
def test_a_symlink_in_a_view_leads_nowhere_else(gateway: Gateway, person: Person, project: str, tmp_path: Path) -> None:
    targets = ["/etc/shadow", "/vaults", "../../vaults", "/proc/1/root/vaults", "/proc/1/cwd/../session"]
    targets += ["/proc/self/root/etc/shadow", "../../../../../../root", str(gateway.root), str(gateway.vaults)]
    numbers = range(len(targets))
    assert (
        _inside(person, project, *(f"symlink {targets[number]} {project}/link{number}" for number in numbers)).status
        == 0
    )
    tries = [f"-get {project}/link{number} {tmp_path / 'got'}" for number in numbers]
    tries += [f"-ls {project}/link{number}/" for number in numbers]
    said = _inside(person, project, *tries)
    assert len([line for line in said.err.splitlines() if line.strip()]) == len(tries), said
    assert not (tmp_path / "got").exists()
    assert _inside(person, project, f"symlink / {project}/root").status == 0
    assert _names(person, project, f"/projects/{project}/root/") == _names(person, project, "/")


@pytest.mark.usefixtures("unlocked")
def test_the_processes_of_a_program_s_sandbox_are_not_to_be_looked_into(
    person: Person, project: str, tmp_path: Path
) -> None:
    """Through /proc/1/mem a client could write code of its own into bubblewrap."""
    files = ("1/environ", "1/mountinfo", "1/mem", "self/mem", "self/environ")
    tries = [f"-get /proc/{file} {tmp_path / file.replace('/', '-')}" for file in files]
    assert len([line for line in _inside(person, project, *tries).err.splitlines() if line.strip()]) == len(tries)
    assert not list(tmp_path.iterdir())


# ------------------------------------------------------------------ the same from outside, as root


def _status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def _namespaces(pid: int) -> dict[str, str]:
    return {name: os.readlink(f"/proc/{pid}/ns/{name}") for name in NAMESPACES}


def _pid_of(gateway: Gateway, program: str) -> int:
    """The process of the only session whose command line begins with `program`."""
    (pid,) = [pid for pid, args in gateway.session_processes().items() if args.startswith(program)]
    return pid


@pytest.fixture
def attached(gateway: Gateway, person: Person, unlocked: Held) -> Iterator[int]:
    """The pid of the sftp-server of an sftp client."""
    need_root()
    client = person.sftp_terminal()
    yield _pid_of(gateway, "/usr/lib/openssh/sftp-server")
    client.close()


def test_an_attached_program_has_no_capability_and_no_way_to_one(attached: int) -> None:
    status = _status(attached)
    assert {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert status["NoNewPrivs"] == "1"
    assert "0" not in status["Uid"].split()


def test_an_attached_program_has_namespaces_of_its_own(gateway: Gateway, attached: int) -> None:
    own, warden, host = _namespaces(attached), _namespaces(gateway.warden()), _namespaces(os.getpid())
    for name in NAMESPACES:
        assert len({own[name], warden[name], host[name]}) == 3, name
    assert len(_status(attached)["NSpid"].split()) == len(_status(os.getpid())["NSpid"].split()) + 2


def test_an_attached_program_has_no_network(attached: int) -> None:
    interfaces = Path(f"/proc/{attached}/net/dev").read_text().splitlines()[2:]
    assert [line.split(":")[0].strip() for line in interfaces] == ["lo"]
    assert not Path(f"/proc/{attached}/net/route").read_text().splitlines()[1:]
    assert not Path(f"/proc/{attached}/net/unix").read_text().splitlines()[1:]


def test_an_attached_program_has_the_descriptors_of_its_channel_alone(attached: int) -> None:
    targets = open_files(attached)
    assert all(target.startswith("pipe:") for target in targets), targets
    assert len(targets) == 3
    assert len(list(Path(f"/proc/{attached}/fd").iterdir())) == 3


@pytest.mark.usefixtures("attached")
def test_gocryptfs_has_no_capability_and_leaves_no_core_dump(gateway: Gateway) -> None:
    gocryptfs = _pid_of(gateway, "/usr/bin/gocryptfs")
    status = _status(gocryptfs)
    assert {status[name] for name in ("CapPrm", "CapEff", "CapAmb")} == {"0" * 16}
    assert status["NoNewPrivs"] == "1"
    limits = Path(f"/proc/{gocryptfs}/limits").read_text().splitlines()
    assert [line.split()[4:6] for line in limits if line.startswith("Max core file size")] == [["0", "0"]]


@pytest.mark.usefixtures("attached")
def test_a_view_is_mounted_in_no_namespace_outside_its_session(gateway: Gateway) -> None:
    session = {_namespaces(pid)["mnt"] for pid in _tree(parent(gateway.warden())) if not is_watchdog(pid)}
    (device,) = [line.split()[2] for line in _mounts(gateway.warden()) if "fuse.gocryptfs" in line]
    seen, outside = 0, []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            namespace, mounts = os.readlink(entry / "ns/mnt"), (entry / "mountinfo").read_text()
        except OSError:
            continue
        seen += 1
        if f" {device} " in mounts and namespace not in session:
            outside.append(entry.name)
    assert seen > 5
    assert not outside
    assert os.readlink("/proc/self/ns/mnt") not in session


def _mounts(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/mountinfo").read_text().splitlines()


def _tree(root: int) -> set[int]:
    """The processes below `root`."""
    lines = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout.splitlines()
    rows = [(int(pid), int(ppid)) for pid, ppid in map(str.split, lines)]
    found = {root}
    while more := {pid for pid, ppid in rows if ppid in found} - found:
        found |= more
    return found - {root}


# ------------------------------------------------------------------ other principals


@pytest.mark.usefixtures("unlocked")
def test_another_principal_finds_nothing_of_a_live_session(gateway: Gateway, person: Person, project: str) -> None:
    stranger = gateway.person(f"{person.name}-stranger")
    assert stranger.ssh("ls", "--json").json["projects"] == []
    assert stranger.ssh("status", "--json").json["sessions"] == []
    assert stranger.ssh("whoami", "--json").json["sessions"] == []
    for verb in ("unmount", "mount", "rm"):
        with_it, without = stranger.ssh(verb, project, stdin="x\n"), stranger.ssh(verb, "nosuch", stdin="x\n")
        assert with_it.status == without.status == 66
        assert with_it.err.replace(project, "nosuch") == without.err
    for verb in ("sftp-server", "logout"):
        assert stranger.ssh(verb).status == 69
    assert stranger.copy("scp", "-O", f"gateway:{project}/x", "/nonexistent/x").status != 0
    assert person.sftp(f"ls {project}").status == 0


@pytest.mark.usefixtures("unlocked")
def test_a_project_of_the_same_name_is_another_project(
    gateway: Gateway, person: Person, project: str, tmp_path: Path
) -> None:
    (tmp_path / "mine").write_text("mine")
    assert person.sftp(f"put {tmp_path / 'mine'} {project}/").status == 0
    stranger = gateway.person(f"{person.name}-namesake")
    stranger.new(project)
    assert stranger.ssh("unmount", project).status == 69
    with stranger.mounted(project):
        assert _names(stranger, project, f"/projects/{project}") == set()
    assert _names(person, project, f"/projects/{project}") == {"mine"}


# ------------------------------------------------------------------ secrets of a front


@pytest.fixture
def sampled(gateway: Gateway) -> Iterator[Callable[[], set[bytes]]]:
    """What was in the command line or environment of any process of the account up to the call."""
    need_root()
    uid = pwd.getpwnam(str(gateway.ready["account"])).pw_uid
    seen: set[bytes] = set()
    stop = threading.Event()
    thread = threading.Thread(target=_sample, args=(uid, seen, stop))
    thread.start()

    def end() -> set[bytes]:
        stop.set()
        thread.join()
        return seen

    yield end
    end()


def _sample(uid: int, seen: set[bytes], stop: threading.Event) -> None:
    while not stop.is_set():
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and f"\nUid:\t{uid}\t" in (entry / "status").read_text():
                    seen |= {(entry / "cmdline").read_bytes(), (entry / "environ").read_bytes()}
            except OSError:
                continue


def test_no_secret_is_in_a_command_line_or_environment(person: Person, sampled: Callable[[], set[bytes]]) -> None:
    person.new("myproj")
    terminal = person.terminal("mount", "myproj")
    terminal.expect("Passphrase of myproj: ")
    terminal.send("not the passphrase\n")
    assert terminal.wait() == 77
    with person.mounted("myproj"):
        person.sftp("ls myproj")
    seen = sampled()
    assert any(b"rshell" in text for text in seen)
    assert any(b"-init" in text for text in seen)
    assert any(b"-passfile\0/proc/self/fd/" in text for text in seen)
    assert not [text for text in seen if PASSPHRASE.encode() in text or b"not the passphrase" in text]


def test_a_front_with_a_secret_is_undumpable_and_shows_no_echo(gateway: Gateway, person: Person, project: str) -> None:
    need_root()
    terminal = person.terminal("mount", project)
    terminal.expect("Passphrase")
    (front,) = [pid for pid, args in gateway.processes().items() if "rshell/__main__" in args]
    assert os.stat(f"/proc/{front}/mem").st_uid == 0  # proc(5): what is not dumpable belongs to root
    limits = Path(f"/proc/{front}/limits").read_text().splitlines()
    assert [line.split()[4:6] for line in limits if line.startswith("Max core file size")] == [["0", "0"]]
    terminal.send(PASSPHRASE + "\n")
    terminal.expect("unlocked")
    assert PASSPHRASE not in terminal.seen
    terminal.close()
    eventually(lambda: not gateway.leftovers())


# ------------------------------------------------------------------ sshd


@pytest.mark.parametrize(
    "flags",
    [
        pytest.param(("-W", "127.0.0.1:22"), id="a-forwarded-stream"),
        pytest.param(("-R", "0:127.0.0.1:22", "-o", "ExitOnForwardFailure=yes", "-N"), id="a-remote-forwarding"),
        pytest.param(("-R", "0", "-o", "ExitOnForwardFailure=yes", "-N"), id="a-remote-dynamic-forwarding"),
        pytest.param(("-R", "/tmp/enc-s:/tmp/x", "-o", "ExitOnForwardFailure=yes", "-N"), id="a-remote-socket"),
    ],
)
def test_sshd_refuses(flags: tuple[str, ...], person: Person) -> None:
    result = person.ssh(extra=flags)
    assert result.status == 255
    assert "administratively prohibited" in result.err or "forwarding failed" in result.err, result


@pytest.mark.parametrize(
    "kind", [pytest.param("-L", id="a-local-forwarding"), pytest.param("-D", id="a-dynamic-forwarding")]
)
def test_sshd_opens_nothing_through(kind: str, gateway: Gateway, person: Person) -> None:
    far = int(str(gateway.ready["port"]))  # sshd itself, which would greet us
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        near = probe.getsockname()[1]
    where = f"127.0.0.1:{near}" + (f":127.0.0.1:{far}" if kind == "-L" else "")
    held = Held(person.argv(extra=("-N", kind, where)), "")
    try:
        link = eventually(lambda: _connected(near))
        assert link is not None
        with link:
            if kind == "-D":  # SOCKS5 (RFC 1928): no authentication, connect to 127.0.0.1
                link.sendall(b"\5\1\0" + b"\5\1\0\1\x7f\0\0\1" + far.to_bytes(2))
            assert b"SSH" not in _all_of(link)
        assert person.ssh("whoami").status == 0
    finally:
        held.end()


def _connected(port: int) -> socket.socket | None:
    try:
        return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
    except ConnectionRefusedError:
        return None


def _all_of(link: socket.socket) -> bytes:
    said = b""
    with contextlib.suppress(ConnectionResetError):
        while chunk := link.recv(4096):
            said += chunk
    return said


def test_sshd_refuses_an_agent(person: Person, project: str) -> None:
    """Its socket would be below /tmp, of the account."""
    with tempfile.TemporaryDirectory(prefix="enc-agent-") as name:
        agent = subprocess.Popen(["ssh-agent", "-D", "-a", f"{name}/agent"], stdout=subprocess.DEVNULL)
        try:
            eventually(lambda: os.path.exists(f"{name}/agent"))
            before = set(Path("/tmp").glob("ssh-*"))
            with person.mounted(project, extra=("-o", f"ForwardAgent={name}/agent")):
                assert set(Path("/tmp").glob("ssh-*")) <= before
        finally:
            agent.terminate()
            agent.wait()


def test_sshd_refuses_x11(person: Person) -> None:
    argv = ["env", "DISPLAY=127.0.0.1:99", *person.argv("whoami", extra=("-o", "ForwardX11=yes", "-v"))]
    result = run(argv)
    assert result.status == 0
    assert "X11 forwarding request failed" in result.err or "Requesting X11 forwarding" not in result.err


def test_sshd_s_effective_configuration_forwards_nothing(gateway: Gateway) -> None:
    need_root()
    who = f"user={gateway.ready['account']},host=localhost,addr=127.0.0.1"
    said = run(["/usr/sbin/sshd", "-T", "-f", str(gateway.root / "sshd_config"), "-C", who]).out.splitlines()
    for line in ("permittunnel no", "disableforwarding yes", "allowtcpforwarding no", "x11forwarding no"):
        assert line in said
    for line in ("allowagentforwarding no", "allowstreamlocalforwarding no", "permituserrc no", "exposeauthinfo yes"):
        assert line in said
    for line in ("passwordauthentication no", "kbdinteractiveauthentication no", "authenticationmethods publickey"):
        assert line in said


@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
def test_sshd_refuses_a_key_of_another_kind(kind: str, gateway: Gateway) -> None:
    result = gateway.person(f"old-{kind}", kind=kind).ssh("whoami")
    assert result.status == 255
    assert "Permission denied (publickey)" in result.err


def test_sshd_refuses_passwords_and_keys_it_does_not_know(gateway: Gateway, person: Person, tmp_path: Path) -> None:
    methods = ("-o", "PreferredAuthentications=password,keyboard-interactive", "-o", "NumberOfPasswordPrompts=1")
    for result in (person.ssh("whoami", extra=methods), _with_new_key(gateway, tmp_path)):
        assert result.status == 255
        assert "Permission denied (publickey)" in result.err


def _with_new_key(gateway: Gateway, tmp_path: Path) -> Result:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "key")], check=True)
    return Person(gateway, "unknown", tmp_path / "key").ssh("whoami")


@pytest.mark.parametrize(
    "variable",
    [
        *("ENC_USER=other", "SSH_USER_AUTH=/tmp/forged", "SSH_CONNECTION=1.2.3.4 5 6.7.8.9 22"),
        *("SSH_ORIGINAL_COMMAND=ls", "PYTHONPATH=/tmp", "PYTHONINSPECT=1", "LD_PRELOAD=/tmp/x.so", "PATH=/tmp"),
    ],
)
def test_no_variable_of_a_client_changes_who_it_is(variable: str, person: Person) -> None:
    said = person.ssh("whoami", "--json", extra=("-o", f'SetEnv={variable.split("=")[0]}="{variable.split("=")[1]}"'))
    assert said.status == 0, said
    assert said.json["principal"] == said.json["fingerprint"] == person.fingerprint
    assert said.json["address"] == "127.0.0.1"


def test_a_key_whose_line_was_removed_is_refused_on_a_connection_that_it_has(gateway: Gateway, person: Person) -> None:
    with tempfile.TemporaryDirectory(prefix="enc-cm-") as name:
        shared = ("-o", f"ControlPath={name}/socket")
        master = person.hold(extra=(*shared, "-M", "-N"))
        try:
            eventually(Path(f"{name}/socket").exists)
            assert person.ssh("whoami", extra=shared).status == 0
            lines = gateway.authorized_keys.read_text().splitlines(keepends=True)
            gateway.authorized_keys.write_text("".join(line for line in lines if f" {person.name}@" not in line))
            for words in (("whoami",), ("ls",), ("new", "p"), ("sftp-server",), ("session",)):
                refused = person.ssh(*words, stdin=f"{PASSPHRASE}\n", extra=shared)
                assert refused.status == 77, refused
                assert "no longer authorized" in refused.err
            assert not (gateway.vaults / f"k-{person.fingerprint[7:]}").exists()
        finally:
            master.end()
    assert person.ssh("whoami").status == 255
