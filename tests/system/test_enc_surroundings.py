"""`enc` among a user's own settings and paths: what they may not change, and that success is said after an answer."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.harness import PASSPHRASE, Gateway, Person, bindir, eventually, need
from tests.laptop import Laptop, is_alive, kill, laptop

WRITE = PASSPHRASE + "\n"


@pytest.fixture
def mine(person: Person) -> Iterator[Laptop]:
    person.new("one")
    with laptop(person) as made:
        yield made


def with_settings(mine: Laptop, *lines: str, how: str = "Host *") -> dict[str, str]:
    """The variable for an ssh_config in which these lines come first."""
    path, included = mine.root / "ssh_config", mine.root / "included"
    text = mine.gateway.ssh_config.read_text()
    included.write_text("\n".join([how, *lines]) + "\n")
    path.write_text(f"Include {included}\n{text}")
    return {"ENC_SSH_CONFIG": str(path)}


SETTINGS = [
    ("SessionType none",),
    ("SessionType subsystem",),
    ("StdinNull yes",),
    ("ForkAfterAuthentication yes",),
    ("RequestTTY force",),
    ("RemoteCommand echo no",),
    ("PermitLocalCommand yes", "LocalCommand echo local; sleep 1"),
    ("EscapeChar c",),
    ("LogLevel QUIET",),
    ("LogLevel DEBUG3",),
    ("LogVerbose *:*:*",),
    ("VisualHostKey yes", "LogLevel INFO"),
    ("ControlMaster auto", "ControlPath {root}/control-%C", "ControlPersist yes"),
    ("PubkeyAuthentication no",),
    ("PreferredAuthentications password",),
    ("PubkeyAcceptedAlgorithms ssh-rsa",),
    ("UpdateHostKeys ask",),
    ("RemoteForward 1 localhost:1", "ExitOnForwardFailure yes"),
    ("Tunnel yes",),
    ("GSSAPIDelegateCredentials yes", "ForwardAgent yes", "ForwardX11 yes"),
    ("SendEnv *", "SetEnv A=b"),
    ("IdentitiesOnly yes", "IdentityFile /nowhere"),
    ("NoHostAuthenticationForLocalhost yes", "StrictHostKeyChecking no"),
]


@pytest.mark.parametrize("lines", [pytest.param(lines, id=lines[0]) for lines in SETTINGS])
def test_no_setting_of_ssh_config_changes_what_a_request_does(mine: Laptop, lines: tuple[str, ...]) -> None:
    """Over a connection of its own: with input, with JSON; and the connection that others use."""
    own = with_settings(mine, *(line.format(root=mine.root) for line in lines), how='Match exec "true"')
    checked = mine.enc("fsck", "one", stdin=WRITE, **own)
    assert (checked.status, checked.out) == (0, "one is sound\n"), checked
    assert mine.enc("whoami", "--json", **own).json["fingerprint"] == mine.who.fingerprint
    login = mine.enc("login", "--json", **own)
    assert login.status == 0 and login.json["joined"] is False, login
    assert mine.enc("logout", **own).status == 0
    assert not list(mine.root.glob("control-*"))


def test_with_all_of_them_a_project_is_mounted_run_in_and_unmounted(mine: Laptop) -> None:
    chosen = [line for lines in SETTINGS for line in lines if not line.startswith("Control")]
    own = with_settings(mine, *chosen)
    at = mine.mount("one", **own)
    (at / "file").write_text("content")
    done = mine.enc("run", "one", "--json", "--", "cat", "file", "-", stdin="+in", **own)
    assert (done.status, done.out) == (0, "content+in"), done
    assert mine.enc("unmount", "one", **own).status == 0
    assert mine.enc("logout", **own).status == 0


def test_the_connection_of_another_key_is_not_used(mine: Laptop) -> None:
    """ControlPath is by host and account: with two keys, a request would be the other person's."""
    other = mine.gateway.person("other-than-me")
    path = mine.root / "control"
    master = ["-o", "ControlMaster=yes", "-o", f"ControlPath={path}", "-N", "-f"]
    subprocess.run(["ssh", *other.options, *master, "gateway"], check=True, stdin=subprocess.DEVNULL)
    try:
        own = with_settings(mine, "ControlMaster auto", f"ControlPath {path}")
        assert mine.enc("whoami", "--json", **own).json["fingerprint"] == mine.who.fingerprint
        assert mine.enc("login", "--json", **own).status == 0
        assert mine.enc("whoami", "--json", **own).json["fingerprint"] == mine.who.fingerprint
        assert mine.enc("logout", **own).status == 0
    finally:
        subprocess.run(["ssh", "-O", "exit", "-o", f"ControlPath={path}", "x"], check=True, capture_output=True)


@pytest.mark.parametrize(
    "more",
    [
        {"LANG": "de_DE.UTF-8", "LC_ALL": "de_DE.UTF-8"},
        {"LC_ALL": "POSIX", "PYTHONUTF8": "0"},
        {"POSIXLY_CORRECT": "1"},
        {"SSH_ASKPASS": "/bin/false", "SSH_ASKPASS_REQUIRE": "never"},
    ],
    ids=lambda more: ",".join(more),
)
def test_no_variable_of_the_environment_changes_what_a_mount_does(mine: Laptop, more: dict[str, str]) -> None:
    at = mine.mount("one", **more)
    (at / "file").write_text("content")
    assert mine.enc("unmount", "one", **more).status == 0


# Keys and host keys


@contextlib.contextmanager
def agent(mine: Laptop, *keys: Path) -> Iterator[dict[str, str]]:
    """The variables for an ssh-agent with these keys, and no key named otherwise."""
    sock = mine.root / "agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(sock)], stdout=subprocess.DEVNULL)
    try:
        eventually(sock.exists)
        environment = {**os.environ, "SSH_AUTH_SOCK": str(sock)}
        subprocess.run(["ssh-add", "-q", *map(str, keys)], env=environment, check=True)
        yield {"SSH_AUTH_SOCK": str(sock), "ENC_IDENTITY": ""}
    finally:
        process.terminate()
        process.wait()


def of_the_gateway(mine: Laptop) -> str:
    """The fingerprint of its host key."""
    argv = ["ssh-keygen", "-lf", str(mine.gateway.root / "host_ed25519.pub")]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()[1]


def new_keys(mine: Laptop, count: int, *kind: str) -> list[Path]:
    paths = [mine.root / f"key-{kind[1]}-{number}" for number in range(count)]
    for path in paths:
        subprocess.run(["ssh-keygen", "-q", *kind, "-N", "", "-f", str(path)], check=True)
    return paths


def test_an_agent_with_too_many_keys_is_named_and_a_key_that_is_named_helps(mine: Laptop) -> None:
    others = new_keys(mine, 8, "-t", "ed25519")
    config = with_settings(mine, "IdentitiesOnly no")
    with agent(mine, *others, mine.who.key) as variables:
        variables = {**variables, **config}
        for words in (("ls",), ("mount", "one"), ("login",)):
            done = mine.enc(*words, stdin=WRITE, **variables)
            assert done.status == 77 and "ssh-agent" in done.err and done.err.count("\n") == 1, done
        found = mine.enc("doctor", **variables)
        assert "9 Ed25519 keys" in found.out and "see doctor" not in found.out, found
        named = {**variables, "ENC_IDENTITY": str(mine.who.key)}
        assert mine.enc("ls", **named).status == 0
        assert mine.enc("ls", **{**named, "ENC_IDENTITY": f"{mine.who.key}.pub"}).status == 0, "the agent has the rest"


def test_keys_of_kinds_that_no_gateway_takes_are_not_offered(mine: Laptop) -> None:
    others = new_keys(mine, 8, "-t", "ecdsa")
    config = with_settings(mine, "IdentitiesOnly no")
    with agent(mine, *others, mine.who.key) as variables:
        done = mine.enc("ls", **variables, **config)
        assert done.status == 0, done


@pytest.mark.parametrize("value", ["/dev/null", "none", "/dev/null /dev/null", "%C/no"])
def test_a_config_that_keeps_no_host_keys_is_told(mine: Laptop, value: str) -> None:
    own = with_settings(mine, f"UserKnownHostsFile {value}")
    fingerprint = of_the_gateway(mine)
    done = mine.enc("init", "--host", "gateway", "--fingerprint", fingerprint, **own)
    assert done.status == 78 and "UserKnownHostsFile" in done.err and done.err.count("\n") == 1, done
    assert mine.enc("ls", **own).status == 76


@pytest.mark.parametrize(
    ("value", "name"),
    [('"{root}/known hosts"', "known hosts"), ('"{root}/a b" "{root}/c d"', "a b"), ("{root}/%n", "gateway")],
)
def test_a_host_key_is_recorded_where_ssh_looks(mine: Laptop, value: str, name: str) -> None:
    own = with_settings(mine, f"UserKnownHostsFile {value.format(root=mine.root)}")
    fingerprint = of_the_gateway(mine)
    done = mine.enc("init", "--host", "gateway", "--fingerprint", fingerprint, **own)
    assert done.status == 0 and (mine.root / name).read_text().startswith("enc-gateway "), done
    assert mine.enc("ls", **own).status == 0


def test_comments_in_another_encoding_are_no_trouble(mine: Laptop) -> None:
    key, known = mine.root / "key", mine.root / "known"
    key.write_bytes(mine.who.key.read_bytes())
    key.chmod(0o600)
    public = Path(f"{mine.who.key}.pub").read_bytes().split()
    Path(f"{key}.pub").write_bytes(b" ".join([*public[:2], b"J\xfcrgen\n"]))
    known.write_bytes(b"# J\xfcrgen\n")
    fingerprint = of_the_gateway(mine)
    own = {**with_settings(mine, f"UserKnownHostsFile {known}", "# J\u00fcrgen"), "ENC_IDENTITY": f"{key}.pub"}
    Path(own["ENC_SSH_CONFIG"]).write_bytes(Path(own["ENC_SSH_CONFIG"]).read_bytes() + b"# J\xfcrgen\n")
    with agent(mine, mine.who.key) as variables:
        own = {**variables, **own}
        done = mine.enc("init", "--host", "gateway", "--fingerprint", fingerprint, **own)
        assert done.status == 0, done
        assert known.read_bytes().startswith(b"# J\xfcrgen\nenc-gateway ")
        assert "internal" not in mine.enc("doctor", **own).err


# Paths


ODD = [
    "x y",
    "it's",
    'a "b"',
    "100%d %%",
    "a,b\\,c",
    "back\\slash",
    "-o proxy",
    "\u0436 \u2028z",
    "#hash",
    "~",
    "$HOME",
]


@pytest.mark.parametrize("name", ODD)
def test_a_path_is_a_path_to_every_program(mine: Laptop, name: str) -> None:
    runtime, home = mine.runtime / name, mine.home / name
    for path in (runtime, home):
        path.mkdir(mode=0o700)
    key = home / f"key {name}"
    key.write_bytes(mine.who.key.read_bytes())
    key.chmod(0o600)
    (home / f"{key.name}.pub").write_bytes(Path(f"{mine.who.key}.pub").read_bytes())
    config = home / f"config {name}"
    config.write_text(mine.gateway.ssh_config.read_text())
    more = {
        "XDG_RUNTIME_DIR": str(runtime),
        "HOME": str(home),
        "ENC_IDENTITY": str(key),
        "ENC_SSH_CONFIG": str(config),
    }
    for where in ((), (str(home / f"mount {name}"),)):
        at = mine.mount("one", *where, **more)
        assert os.path.ismount(at) and home in at.parents
        (at / "file").write_text("content")
        done = mine.enc("run", "one", "--json", "--", "cat", "file", **more)
        assert (done.status, done.out) == (0, "content"), done
        (at / "file").unlink()
        assert mine.enc("status", "--json", **more).json["mounts"]
        assert mine.enc("unmount", "one", **more).status == 0
        assert not os.path.ismount(at)
    found = mine.enc("doctor", **more)
    assert "wrong" not in found.out, found
    assert mine.enc("logout", **more).status == 0


def test_a_path_that_ssh_cannot_use_is_refused(mine: Laptop) -> None:
    for name in ("${HOME}", "a\tb"):
        runtime = mine.runtime / name
        runtime.mkdir(mode=0o700)
        done = mine.enc("login", XDG_RUNTIME_DIR=str(runtime))
        assert done.status == 78 and done.err.count("\n") == 1 and "ssh cannot use the path" in done.err, done
    assert mine.enc("ls", ENC_IDENTITY=str(mine.root / "${HOME}")).status == 78


# Success


SFTP_FAULTS = {
    "it ends at once": "exit 1",
    "it ends later": "sleep 1; exit 255",
    "it says why": "echo 'enc: no room for a transfer' >&2; exit 75",
    "it never answers": "exec sleep 1000",
    "it answers nonsense": "echo; exec sleep 1000",
}


def refuses_to_mount(mine: Laptop, fault: str) -> None:
    tools = mine.root / "tools"
    tools.mkdir()
    program = tools / "ssh"
    program.write_text(f'#!/bin/sh\ncase " $* " in *\' sftp \'*) {SFTP_FAULTS[fault]};; esac\nexec /usr/bin/ssh "$@"\n')
    program.chmod(0o700)
    path = {"PATH": f"{tools}:{bindir()}:{os.environ['PATH']}"}
    done = mine.enc("mount", "one", stdin=WRITE, **path)
    assert (done.status, done.out, done.err.count("\n")) == (73, "", 1), done
    if fault == "it says why":
        assert "no room for a transfer" in done.err
    assert not mine.entries() and mine.views() == []
    assert not (mine.home / "enc" / "one").exists()
    eventually(mine.is_clean, 5)
    assert os.path.ismount(mine.mount("one")), "without the fault it works"


@pytest.mark.parametrize("fault", list(SFTP_FAULTS)[:3])
def test_mount_says_success_only_after_an_answer_from_the_gateway(mine: Laptop, fault: str) -> None:
    refuses_to_mount(mine, fault)


def test_mount_waits_for_that_answer_for_a_time(mine: Laptop) -> None:
    """Two at once: each takes as long as `enc` waits."""
    other = mine.gateway.person(f"{mine.who.name}-too")
    other.new("one")
    with laptop(other) as theirs, ThreadPoolExecutor(2) as pool:
        list(pool.map(refuses_to_mount, (mine, theirs), list(SFTP_FAULTS)[3:]))


# Ends


def runs(gateway: Gateway, words: str) -> bool:
    return any(words in args for args in gateway.processes().values())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL], ids=lambda number: number.name)
@pytest.mark.parametrize("connection", ["shared", "own"])
def test_a_kill_of_run_ends_ssh_and_the_program_on_the_gateway(
    mine: Laptop, number: signal.Signals, connection: str
) -> None:
    with contextlib.ExitStack() as until:
        if connection == "shared":
            mine.mount("one")
        else:
            until.enter_context(mine.who.mounted("one"))
        seconds = f"1234.{number:02d}"
        process = subprocess.Popen(
            [*mine.environment(), "enc", "run", "one", "--", "sleep", seconds], stdin=subprocess.DEVNULL
        )
        eventually(lambda: runs(mine.gateway, f"sleep {seconds}"))
        ours = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=True)
        process.send_signal(number)
        assert process.wait(5) == -number
        for pid in map(int, ours.stdout.split()):
            eventually(lambda pid=pid: not Path(f"/proc/{pid}").exists(), 5)  # type: ignore[misc]
        eventually(lambda: not runs(mine.gateway, f"sleep {seconds}"), 5)


@pytest.mark.parametrize("words", [("fsck", "one"), ("new", "two"), ("mount", "one")], ids=lambda words: words[0])
def test_a_kill_of_another_command_ends_its_ssh(mine: Laptop, words: tuple[str, ...]) -> None:
    """ssh is made to hang by a proxy that never answers."""
    own = with_settings(mine, "ProxyCommand sh -c 'cat >/dev/null; exit'", "ConnectTimeout 0")
    process = subprocess.Popen([*mine.environment(**own), "enc", *words], stdin=subprocess.PIPE)
    assert process.stdin
    process.stdin.write(WRITE.encode())
    process.stdin.close()

    def found() -> str:
        argv = ["pgrep", "-f", f"^ssh .*{own['ENC_SSH_CONFIG']}"]
        return subprocess.run(argv, capture_output=True, text=True, check=False).stdout

    eventually(found)
    process.terminate()
    assert process.wait(5) == -signal.SIGTERM
    eventually(lambda: not found(), 5)
    own = with_settings(mine)
    assert os.path.ismount(mine.mount("one", **own)), "nothing is in the way"
    assert mine.enc("logout", **own).status == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_a_kill_of_open_ends_its_shell(mine: Laptop, number: signal.Signals) -> None:
    terminal = mine.terminal(SHELL="/bin/sh")
    terminal.send("enc open one\n")
    terminal.expect("Passphrase of one: ")
    terminal.send(WRITE)
    terminal.expect("it is locked when this shell ends")
    terminal.send('echo $PPID-$$-pi""ds\n')
    (pids,) = re.findall(r"(\d+)-(\d+)-pids", terminal.expect("-pids\r"))
    enc, shell = map(int, pids)
    os.kill(enc, number)
    eventually(lambda: not Path(f"/proc/{shell}").exists(), 5)
    eventually(lambda: not mine.views(), 5)
    terminal.close()


# What is left


def test_a_file_deleted_while_open_does_not_stay_after_an_unmount_by_force(mine: Laptop) -> None:
    at = mine.mount("one")
    (at / "d x").mkdir()
    opened = [(at / name).open("w") for name in ("file", "d x/other")]
    script = f"exec 3>'{at}/third'; rm '{at}/third'; echo ready; exec sleep 1000"
    other = subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE)
    try:
        assert other.stdout and other.stdout.readline()
        for name in ("file", "d x/other"):
            (at / name).unlink()
        (at / "kept").write_text("content")
        assert len(list(at.rglob(".fuse_hidden*"))) == 3
        assert mine.enc("unmount", "--force", "one").status == 0
    finally:
        other.kill()
        other.wait()
        for file in opened:
            with contextlib.suppress(OSError):
                file.close()
    again = mine.mount("one")
    assert sorted(path.name for path in again.rglob("*")) == ["d x", "kept"]


@pytest.mark.parametrize("what", ["sshfs", "connection"])
def test_a_file_deleted_while_open_is_removed_at_the_next_unlock(mine: Laptop, what: str) -> None:
    at = mine.mount("one")
    (at / "d x").mkdir()
    opened = [(at / name).open("w") for name in ("file", "d x/other")]
    for name in ("file", "d x/other"):
        (at / name).unlink()
    hidden = sorted(path.name for path in at.rglob(".fuse_hidden*"))
    assert len(hidden) == 2
    for file in opened:
        inode = dict(line.split() for line in Path(f"/proc/self/fdinfo/{file.fileno()}").read_text().splitlines())
        assert any(name.startswith(f".fuse_hidden{int(inode['ino:']):08x}") for name in hidden)
    (at / f"{hidden[0][:-12]}ffff{'0' * 8}").write_text("another's")
    mount, connection = mine.mounted("one"), mine.state.connection
    assert connection
    kill(mount.sshfs if what == "sshfs" else connection.master)
    eventually(lambda: "one" not in mine.state.mounts, 20)
    for file in opened:
        with contextlib.suppress(OSError):
            file.close()
    again = mine.mount("one")
    assert sorted(path.name for path in again.rglob("*")) == [f"{hidden[0][:-12]}ffff{'0' * 8}", "d x"]
    assert not list(Path(mine.store.directory).glob("hidden-*"))


def test_a_crash_in_the_background_leaves_a_trace_that_has_a_limit(mine: Laptop) -> None:
    """A watchdog that has to start a monitor, and finds a directory in the place of the lock for that."""
    mine.mount("one")
    directory = Path(mine.store.directory)
    log, lock = directory / "log", directory / "start"
    log.write_bytes(b"x" * 70_000)
    kill(mine.mounted("one").monitor)
    eventually(lambda: log.stat().st_size < 70_000 and is_alive(mine.mounted("one").monitor), 10)
    lock.unlink()
    lock.mkdir()
    (known,) = mine.state.terminals.values()
    kill(mine.mounted("one").monitor)
    eventually(lambda: not is_alive(known.watchdog), 10)
    text = log.read_text()
    assert f"watchdog of {known.id} has failed:" in text and "IsADirectoryError" in text, text
    assert log.stat().st_mode & 0o777 == 0o600
    lock.rmdir()


def test_why_a_mount_was_taken_away_is_in_the_log(mine: Laptop) -> None:
    mine.mount("one")
    log = Path(mine.store.directory) / "log"
    kill(mine.mounted("one").sshfs)
    eventually(lambda: "one is no longer mounted" in log.read_text(), 10)
    eventually(lambda: "one" not in mine.state.mounts)


def test_a_link_with_dots_fails_in_a_mount_that_contains_links_and_works_on_the_gateway(mine: Laptop) -> None:
    """As docs/client.md says. When sshfs has a setting for links that stay inside, this has to change."""
    at = mine.mount("one")
    (at / "lib").mkdir()
    (at / "file").write_text("content")
    (at / "lib" / "link").symlink_to("../file")
    has = subprocess.run(["sshfs", "--help"], capture_output=True, text=True, check=False)
    need("contain_symlinks" in has.stdout + has.stderr, "this sshfs has CVE-2026-47187", but_not_on="ubuntu")
    with pytest.raises(PermissionError):
        (at / "lib" / "link").read_text()
    with pytest.raises(PermissionError):
        (at / "lib" / "link").readlink()
    for words in (("git", "-C", str(at), "init", "-q"), ("git", "-C", str(at), "add", "lib")):
        done = subprocess.run(words, capture_output=True, check=False)
    assert done.returncode != 0
    assert subprocess.run(
        ["tar", "-C", str(at), "-cf", "/dev/null", "lib"], capture_output=True, check=False
    ).returncode
    assert mine.enc("run", "one", "--json", "--", "cat", "lib/link").out == "content"
    for run in (("git", "add", "lib"), ("tar", "-cf", "lib.tar", "lib")):
        assert mine.enc("run", "one", "--json", "--", *run).status == 0
