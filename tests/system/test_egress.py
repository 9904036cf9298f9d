"""`run --net` with a list of names: a program reaches these, by a proxy, and nothing else.

The gateway is in a network of its own, with one cable to another that stands for the internet: there, public and
private addresses, and names that /etc/hosts gives for them.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import PASSPHRASE, PROMPT, Gateway, admin, alive, eventually, need_root, parent
from tests.running import UnlockedProject, unlocked_project
from tests.system.test_vanished_network import private_network

NAMES = """
11.0.0.2 listed.test other.test sub.test a.sub.test b.a.sub.test
11.0.0.1 own.test
127.0.0.1 rebound.test
10.7.0.2 inner.test
10.7.0.3 known.test
169.254.169.254 metadata.test
"""
LISTED = (
    *("listed.test:443", "listed.test:80", "*.sub.test:443", "own.test:443", "rebound.test:443"),
    *("inner.test:443", "known.test:443", "10.7.0.3:443", "metadata.test:443"),
)
ETC = """
mkdir "$1"; cp -a /etc/. "$1/"; printf '%s' "$2" >>"$1/hosts"; mount --bind "$1" /etc
shift 2; exec "$@"
"""
SERVER = """
import http.server, threading
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = f"reached {self.server.server_port} {self.path}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
servers = [http.server.ThreadingHTTPServer(("", port), Handler) for port in (80, 443, 8443)]
for one in servers:
    threading.Thread(target=one.serve_forever, daemon=True).start()
print("up", flush=True)
input()
"""


@contextlib.contextmanager
def serving(*prefix: str) -> Iterator[int]:
    """Web servers, and the pid of their process."""
    words = [*prefix, sys.executable, "-c", SERVER]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        yield process.pid
        process.kill()


def ip(*words: str, inside: int = 0) -> None:
    there = ["nsenter", "--net", "--target", str(inside)] if inside else []
    subprocess.run([*there, "ip", *words], check=True)


@pytest.fixture(scope="module")
def at(ground: Path) -> Iterator[UnlockedProject]:
    need_root()
    prefix = ("unshare", "--mount", "sh", "-euc", ETC, "sh", str(ground / "etc"), NAMES)
    with private_network(), serving("unshare", "--net") as internet, serving():
        ip("link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", str(internet))
        for number, where in ((1, 0), (2, internet)):
            ip("address", "add", f"11.0.0.{number}/24", "dev", "cable", inside=where)
            ip("address", "add", f"10.7.0.{number}/24", "dev", "cable", inside=where)
            ip("link", "set", "cable", "up", inside=where)
        ip("address", "add", "10.7.0.3/24", "dev", "cable", inside=internet)
        ip("address", "add", "169.254.169.254/16", "dev", "cable", inside=internet)
        ip("address", "add", "169.254.169.1/16", "dev", "cable")
        gateway = Gateway(ground / "gw", {"run.network": ",".join(LISTED)}, prefix=prefix).start()
        with unlocked_project(gateway, "egress") as made:
            yield made
        gateway.stop()


CONNECT = """
import os, socket, sys, urllib.parse
proxy = urllib.parse.urlsplit(os.environ["https_proxy"])
for target in sys.argv[1:]:
    link = socket.create_connection((proxy.hostname, proxy.port), 20)
    link.sendall(f"CONNECT {target} HTTP/1.1\\r\\n\\r\\n".encode())
    said = link.recv(65536).decode()
    if " 200 " in said:
        link.sendall(b"GET /x HTTP/1.0\\r\\n\\r\\n")
        said = ""
        while more := link.recv(65536):
            said += more.decode()
    print(target, said.split("\\r\\n")[-1].strip() or said.strip())
"""


def connect(at: UnlockedProject, *targets: str) -> dict[str, str]:
    """What one program gets from each by the proxy."""
    result = at.run("python3", "-c", CONNECT, *targets, flags=("--net",))
    assert result.status == 0, result
    return dict(line.split(" ", 1) for line in result.out.splitlines())


def recorded(at: UnlockedProject, *targets: str) -> tuple[dict[str, str], list[dict[str, object]]]:
    """The same, and what is recorded of it."""
    before = len(at.gateway.events("egress"))
    return connect(at, *targets), at.gateway.events("egress")[before:]


REACHED = ("listed.test:443", "LISTED.test:443", "a.sub.test:443", "b.a.sub.test:443", "known.test:443", "10.7.0.3:443")


def test_a_program_reaches_what_is_listed_and_that_is_recorded(at: UnlockedProject) -> None:
    answers, records = recorded(at, *REACHED, "listed.test:443")
    assert answers == dict.fromkeys(REACHED, "reached 443 /x")
    assert [one["target"] for one in records] == list(dict.fromkeys(map(str.lower, REACHED)))
    common = {"decision": "allow", "project": at.project, "fingerprint": at.person.fingerprint}
    assert all(common.items() <= one.items() for one in records)


REFUSED = {
    "other.test:443": "not-listed",
    "listed.test:8443": "not-listed",
    "sub.test:443": "not-listed",
    "11.0.0.2:443": "not-listed",
    "127.0.0.1:443": "not-listed",
    "10.7.0.2:443": "not-listed",
    "[::1]:443": "not-listed",
    "known.test:80": "not-listed",
    "rebound.test:443": "private-address",
    "own.test:443": "private-address",
    "inner.test:443": "private-address",
    "metadata.test:443": "private-address",
    "none.sub.test:443": "no-address",
}


def test_a_program_reaches_nothing_else_and_that_is_recorded(at: UnlockedProject) -> None:
    """Each of these is there for the host."""
    for host in ("11.0.0.2", "127.0.0.1", "11.0.0.1", "10.7.0.2", "169.254.169.254"):
        link = http.client.HTTPConnection(host, 443, timeout=20)
        link.request("GET", "/x")
        assert link.getresponse().read() == b"reached 443 /x"
        link.close()
    answers, records = recorded(at, *REFUSED)
    assert not [answer for answer in answers.values() if "reached" in answer]
    assert all(answer.startswith("enc: ") for answer in answers.values())
    assert {one["target"]: one["reason"] for one in records if one["decision"] == "deny"} == REFUSED
    assert len(records) == len(REFUSED)


def test_there_is_no_way_but_the_proxy(at: UnlockedProject) -> None:
    script = """
import socket
for host in ("11.0.0.2", "127.0.0.1", "10.7.0.3", "10.0.2.2", "listed.test"):
    try:
        socket.create_connection((host, 443), 3)
        print(host, "reached")
    except OSError as error:
        print(host, "not")
print(socket.if_nameindex())
print(open("/proc/net/unix").read().count("\\n"))
print(open("/proc/self/status").read())
"""
    said = at.run("python3", "-", stdin=script, flags=("--net",)).out
    assert "reached" not in said
    assert said.count(" not\n") == 5
    assert "[(1, 'lo')]\n1\n" in said
    assert "CapEff:\t0000000000000000\n" in said


def test_without_the_flag_there_is_no_proxy(at: UnlockedProject) -> None:
    said = at.run("env").out
    assert "HOME=" in said and "proxy=" not in said.lower()


def test_programs_find_the_proxy_in_the_environment_and_their_own_loopback_without(at: UnlockedProject) -> None:
    script = f"""
import http.server, threading, urllib.request
{SERVER[SERVER.index("class") : SERVER.index("servers")]}
own = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=own.serve_forever, daemon=True).start()
for url in ("http://listed.test/x", f"http://127.0.0.1:{{own.server_port}}/y", f"http://localhost:{{own.server_port}}/z"):
    print(urllib.request.urlopen(url).read().decode().split()[-1])
"""
    result = at.run("python3", "-", stdin=script, flags=("--net",))
    assert result.out.split() == ["/x", "/y", "/z"], result


TOOLS = {
    "curl": "curl https://listed.test/",
    "git": "git ls-remote https://listed.test/r.git",
    "pip": "pip download --retries 0 --index-url https://listed.test/simple nothing-such",
    "npm": "npm view --fetch-retries 0 --registry https://listed.test/ nothing-such",
    "cargo": "cargo search --index sparse+https://listed.test/ nothing-such",
}


@pytest.mark.parametrize("tool", TOOLS)
def test_tools_go_through_the_proxy(at: UnlockedProject, tool: str) -> None:
    """Their TLS fails against a server that has none, but they come as far as that."""
    if not Path(f"/usr/bin/{tool}").exists():
        pytest.skip(f"no /usr/bin/{tool}")
    before = len(at.gateway.events("egress", decision="allow", target="listed.test:443"))
    result = at.run("sh", "-c", TOOLS[tool], flags=("--net",))
    assert result.status != 0
    assert len(at.gateway.events("egress", decision="allow", target="listed.test:443")) == before + 1, result


def proxies(at: UnlockedProject) -> dict[int, str]:
    """The proxies at work, and the bubblewraps around them."""
    return {pid: args for pid, args in at.gateway.processes().items() if "/egress.py" in args}


def test_the_proxy_sees_nothing_of_the_host_and_has_no_capability(at: UnlockedProject) -> None:
    with at.connected():
        (pid,) = (pid for pid, args in proxies(at).items() if "bwrap" not in args)
        root = Path(f"/proc/{pid}/root")
        seen = {path.name for path in root.iterdir()} - {"bin", "sbin", "lib", "lib32", "lib64", "usr"}
        assert seen <= {"etc", "run", "egress.py", Path(sys.base_prefix).parts[1]}
        for hidden in (at.person.vault(at.project), at.gateway.root, Path("/home"), Path("/proc"), Path("/dev")):
            assert not os.path.lexists(root / str(hidden).lstrip("/"))
        status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        assert int(status["CapPrm"], 16) == int(status["CapBnd"], 16) == 0
        assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
        assert status["Uid"].split()[0] != "0"
        for other in (str(at.gateway.warden()), "self"):
            for kind in ("mnt", "user", "pid", "ipc", "uts"):
                assert os.readlink(f"/proc/{pid}/ns/{kind}") != os.readlink(f"/proc/{other}/ns/{kind}")


def test_the_proxy_ends_with_the_program(at: UnlockedProject) -> None:
    with at.connected():
        assert proxies(at)
    eventually(lambda: not proxies(at), 10)


def test_the_proxy_ends_with_its_front_however_that_ends(at: UnlockedProject) -> None:
    """And so does what records."""
    with at.connected():
        found = list(proxies(at))
        front = next(parent(pid) for pid in found if parent(pid) not in found)
        found += [pid for pid in at.gateway.processes() if parent(pid) == front]
        os.kill(front, signal.SIGKILL)
        eventually(lambda: not any(map(alive, found)), 10)


def test_a_program_cannot_flood_the_log(at: UnlockedProject) -> None:
    answers, records = recorded(at, *(f"flood{number}.test:443" for number in range(150)))
    assert len(answers) == 150
    assert len(records) == 101
    assert records[-1]["more"] == 50
    assert at.gateway.audit()[-1]["event"] == "result", "they come before it"


def test_what_cannot_be_recorded_is_not_reached(at: UnlockedProject) -> None:
    at.put("connect.py", CONNECT)
    script = "echo up; read x; python3 connect.py a.sub.test:443 2>&1; echo over"
    terminal = at.terminal("sh", "-c", script, flags=("--net",))
    terminal.expect("up\r\n")
    log = Path(str(at.gateway.ready["audit"]))
    away = log.rename(log.with_suffix(".away"))
    log.mkdir()
    try:
        terminal.send("\n")
        assert "reached" not in terminal.expect("over\r\n")
    finally:
        log.rmdir()
        away.rename(log)
        terminal.close()


def test_a_prompt_that_has_read_a_passphrase_gives_it_as_well(at: UnlockedProject) -> None:
    at.person.new("prompted")
    at.put("connect.py", CONNECT)
    terminal = at.person.terminal()
    terminal.expect(PROMPT)
    terminal.send("mount prompted\n")
    terminal.expect("Passphrase of prompted: ")
    terminal.send(PASSPHRASE + "\n")
    terminal.expect("unlocked prompted")
    terminal.send(f"run {at.project} --net -- python3 connect.py listed.test:443\n")
    terminal.expect("listed.test:443 reached 443 /x\r\n")
    terminal.close()


def test_doctor_names_what_is_listed(at: UnlockedProject) -> None:
    findings = json.loads(admin(at.gateway, "doctor", "--json").out)["findings"]
    (found,) = (one for one in findings if one["subject"] == "run --net")
    assert found["level"] == "OK" and "listed.test:443" in found["state"]
