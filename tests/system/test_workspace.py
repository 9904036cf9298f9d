"""A workspace with stock OpenSSH: what editors do with it, what it reaches, and when it ends."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import Person, eventually, run
from tests.system.test_revocation import PROMISED, renamed_over
from tests.system.test_slots import one_line
from tests.workspaces import Workspace, workspace

WITHIN = 20.0


@pytest.fixture
def at(person: Person, tmp_path: Path) -> Iterator[Workspace]:
    person.new("p")
    with person.mounted("p"):
        yield workspace(person, "p", tmp_path)


def test_programs_terminals_and_files(at: Workspace, tmp_path: Path) -> None:
    assert at.ssh("pwd; echo $HOME; echo $0").out == "/home/enc\n/home/enc\nbash\n"
    assert at.ssh("cat >/projects/p/f; exit 3", stdin="content").status == 3
    assert at.who.ssh("run", "p", "--", "cat", "f").out == "content"
    terminal = at.ssh("tty; test -t 0", extra=("-tt",))
    assert terminal.status == 0 and "/dev/pts/" in terminal.out, terminal
    (tmp_path / "batch").write_text(f"get /projects/p/f {tmp_path}/got\nput {tmp_path}/got /projects/p/put\n")
    done = subprocess.run(
        ["sftp", *at.options, "-b", str(tmp_path / "batch"), "enc@workspace"], capture_output=True, check=False
    )
    assert done.returncode == 0, done
    assert at.ssh("cat /projects/p/put").out == "content"


def test_all_channels_are_in_one_place(at: Workspace) -> None:
    assert at.ssh("echo x >/tmp/f; (sleep 1000 </dev/null >/dev/null 2>&1 &)").status == 0
    assert at.ssh("cat /tmp/f; pgrep -x sleep >/dev/null && echo runs").out == "x\nruns\n"


SERVE = "cd /projects/p; python3 -m http.server --bind 127.0.0.1 {port} >/dev/null 2>&1 </dev/null &"


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextlib.contextmanager
def forwarding(at: Workspace, *options: str) -> Iterator[subprocess.Popen[str]]:
    """`ssh -N` with these options."""
    process = at.start(extra=("-N", "-o", "ExitOnForwardFailure=yes", *options))
    try:
        yield process
    finally:
        process.terminate()
        process.communicate()


def fetched(port: int, path: str = "f") -> str:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=10) as answer:
            return str(answer.read().decode())
    except OSError:
        return ""


def test_a_server_inside_is_reached_and_nothing_of_the_host_is(at: Workspace) -> None:
    assert at.ssh("echo served >/projects/p/f").status == 0
    with socket.create_server(("127.0.0.1", 0)) as host:
        taken = host.getsockname()[1]  # by the gateway's host; in the workspace it is free
        assert at.ssh(SERVE.format(port=8000)).status == 0
        local, wrong, by_socket = free_port(), free_port(), free_port()
        words = ("-L", f"{local}:localhost:8000", "-L", f"{wrong}:127.0.0.1:{taken}", "-D", f"{by_socket}")
        with forwarding(at, *words):
            assert eventually(lambda: fetched(local)) == "served\n"
            assert fetched(wrong) == ""
            socks = ["curl", "-sS", "-m", "10", "--socks5-hostname", f"127.0.0.1:{by_socket}"]
            done = run([*socks, "http://localhost:8000/f"])
            assert done.out == "served\n", done
            assert run([*socks, f"http://127.0.0.1:{taken}/"]).status != 0
            assert run([*socks, "http://1.1.1.1/"]).status != 0
    recorded = at.who.gateway.events("workspace-forward", fingerprint=at.who.fingerprint)
    assert {8000, taken} <= {one["port"] for one in recorded}


def test_two_connections_meet_on_one_loopback_and_by_a_socket(at: Workspace, tmp_path: Path) -> None:
    """As an editor does it: a server is started by one, and the other forwards to it."""
    script = "import socket; s = socket.socket(socket.AF_UNIX); s.bind('/tmp/s'); s.listen(); print('up', flush=True);"
    script += "c = s.accept()[0]; c.sendall(b'from inside'); c.close()"
    server = at.start("python3", "-c", f'"{script}"')
    assert server.stdout and server.stdout.readline() == "up\n"
    with forwarding(at, "-L", f"{tmp_path}/here:/tmp/s"):
        eventually(lambda: (tmp_path / "here").exists())
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(f"{tmp_path}/here")
            assert client.recv(100) == b"from inside"
    server.communicate()
    assert 0 in {one["port"] for one in at.who.gateway.events("workspace-forward", fingerprint=at.who.fingerprint)}


def test_what_the_inner_sshd_refuses(at: Workspace) -> None:
    assert "SSH_AUTH_SOCK" not in at.ssh("env", extra=("-A",)).out
    assert "DISPLAY" not in at.ssh("env", extra=("-X",)).out
    assert at.ssh("true", extra=("-w", "any", "-o", "ExitOnForwardFailure=yes")).status != 0
    other = at.identity.with_name("other")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(other)], check=True)
    wrong = run(["ssh", *at.options, "-o", f"IdentityFile={other}", "-i", str(other), "enc@workspace", "true"])
    assert wrong.status == 0, "the first identity is the right one"
    blob = Path(f"{other}.pub").read_text().split()[1]
    options = [word.replace(Path(f"{at.identity}.pub").read_text().split()[1], blob) for word in at.options]
    refused = run(["ssh", *options, "enc@workspace", "true"])
    assert refused.status == 255 and "Permission denied" in refused.err, refused
    assert len(at.who.gateway.events("workspace-login", fingerprint=at.who.fingerprint)) == 4


def test_it_lives_as_long_as_the_view_and_goes_with_it(at: Workspace) -> None:
    """A program that no channel waits for goes on; nothing outlives the lock."""
    first = at.start("echo up; sleep 1000")
    assert first.stdout and first.stdout.readline() == "up\n"
    assert at.ssh("(sleep 2000 </dev/null >/dev/null 2>&1 &)").status == 0
    first.kill()
    first.communicate()
    assert at.ssh("pgrep -f 'sleep 2000'").status == 0
    again = at.start("echo up; sleep 1000")
    assert again.stdout and again.stdout.readline() == "up\n"
    assert at.who.ssh("unmount", "p").status == 0
    again.communicate(timeout=WITHIN)
    assert again.returncode == 255
    eventually(lambda: not [args for args in at.who.gateway.processes().values() if "sleep 2000" in args])
    assert "unlock" in at.who.ssh("workspace", "p").err


def test_a_removed_key_ends_it_at_once(at: Workspace) -> None:
    held = at.start("echo up; sleep 1000")
    assert held.stdout and held.stdout.readline() == "up\n"
    renamed_over(at.who.gateway.authorized_keys, at.who)
    held.communicate(timeout=PROMISED)
    assert held.returncode == 255
    eventually(lambda: not [args for args in at.who.gateway.processes().values() if "sleep 1000" in args])


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (("nothing",), 66, "you have no project"),
        (("p", "x"), 64, "second word of an Ed25519 public key"),
        (("p", "AAAAC3NzaC1lZDI1NTE5AAAAIA"), 64, "second word of an Ed25519 public key"),
        (("p", "a", "b"), 64, "workspace takes"),
        ((), 64, "workspace takes"),
    ],
)
def test_bad_words_are_one_clear_line(at: Workspace, words: tuple[str, ...], status: int, says: str) -> None:
    one_line(at.who.ssh("workspace", *words), status, says)


def test_a_workspace_that_is_not_itself_any_more_ends_when_it_must(at: Workspace) -> None:
    """Its user can do to it what they like."""
    held = at.start("echo up; sleep 1000")
    assert held.stdout and held.stdout.readline() == "up\n"
    at.ssh("pkill -9 -f ^/usr/bin/python3.*/workspace.py")
    held.communicate(timeout=WITHIN)
    again = workspace(at.who, "p", at.known_hosts.parent / "again")
    assert again.ssh("echo x >/tmp/f").status == 0
    again.ssh("pkill -STOP -f ^/usr/bin/python3.*/workspace.py")
    assert at.who.ssh("unmount", "p").status == 0
    eventually(lambda: not [args for args in at.who.gateway.processes().values() if "workspace.py" in args])


def test_two_projects_workspaces_do_not_meet(at: Workspace, tmp_path: Path) -> None:
    at.who.new("q")
    with at.who.mounted("q"):
        assert at.ssh(f"touch /tmp/mark; {SERVE.format(port=8000)}").status == 0
        other = workspace(at.who, "q", tmp_path / "q")
        assert other.ssh("ls /tmp; pgrep -c python3").out == "1\n"
        local = free_port()
        with forwarding(other, "-L", f"{local}:localhost:8000"):
            eventually(lambda: other.ssh("true").status == 0)
            assert fetched(local) == ""
