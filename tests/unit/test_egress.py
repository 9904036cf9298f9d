"""The proxy of programs with a list of names: what it reaches, and what it says of it. Loopback stands for the rest."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gateway.config import loader, targets
from gateway.errors import Misconfigured
from gateway.sandbox.inside import egress
from gateway.sandbox.inside.egress import Targets

PROGRAM = Path(egress.__file__)


@dataclass
class Running:
    """A proxy at `port`; `hears` is the socket on which it tells of targets."""

    port: int
    process: subprocess.Popen[bytes]
    hears: socket.socket
    lines: list[str] = field(default_factory=list)

    def ask(self, request: str, then: bytes = b"?") -> str:
        """The answer to `request`, and to `then` from where it leads."""
        with socket.create_connection(("127.0.0.1", self.port), 10) as link:
            link.sendall(request.encode() + b"\r\n\r\n")
            said = link.recv(65536)
            if said.startswith(b"HTTP/1.1 200"):
                link.sendall(then)
            while more := link.recv(65536):
                said += more
        return said.decode()

    def connect(self, target: str) -> str:
        return self.ask(f"CONNECT {target} HTTP/1.1")

    def hear(self) -> None:
        """Answer each line, until the end."""
        with self.hears.makefile("r") as lines, contextlib.suppress(BrokenPipeError):
            for line in lines:
                self.lines.append(line.rstrip("\n"))
                self.hears.send(b".")

    def end(self) -> list[str]:
        """What it said of targets."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        assert self.process.wait(10) == 0
        self.hearing.join(10)
        return self.lines[1:]

    def __post_init__(self) -> None:
        self.hearing = threading.Thread(target=self.hear, daemon=True)
        self.hearing.start()


@contextlib.contextmanager
def proxy(*listed: str) -> Iterator[Running]:
    hears, says = socket.socketpair()
    with hears, socket.create_server(("127.0.0.1", 0)) as listener:
        words = [sys.executable, "-I", "-S", str(PROGRAM), str(listener.fileno()), *listed]
        with says:
            process = subprocess.Popen(
                words, stdin=subprocess.PIPE, stdout=says.fileno(), pass_fds=(listener.fileno(),)
            )
        with process:
            yield Running(listener.getsockname()[1], process, hears)
            process.kill()


@pytest.fixture(scope="module")
def server() -> Iterator[int]:
    """Answers with all that it got, at the first end of it or of its head."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client, _ = listening.accept()
                    with client:
                        client.sendall(b"reached:" + client.recv(65536))

        threading.Thread(target=answer, daemon=True).start()
        yield int(listening.getsockname()[1])
        listening.shutdown(socket.SHUT_RDWR)


def test_a_listed_address_is_reached_and_recorded_once(server: int) -> None:
    with proxy(f"127.0.0.1:{server}") as running:
        for _ in range(2):
            assert running.connect(f"127.0.0.1:{server}").endswith("\r\n\r\nreached:?")
        assert running.end() == [f"allow 127.0.0.1:{server}"]


def test_a_listed_name_leads_to_a_private_address_only_if_that_is_listed_too(server: int) -> None:
    with proxy(f"localhost:{server}") as running:
        assert running.connect(f"localhost:{server}").startswith("HTTP/1.1 403 localhost leads to an address that is")
        assert running.end() == [f"deny private-address localhost:{server}"]
    with proxy(f"LocalHost:{server}", f"127.0.0.1:{server}") as running:
        assert "reached" in running.connect(f"LOCALHOST:{server}")
        assert "reached" in running.connect(f"localhost:{server}")
        assert running.end() == [f"allow localhost:{server}"]


REFUSED = [
    pytest.param("CONNECT other.test:443 HTTP/1.1", "not-listed other.test:443", id="another name"),
    pytest.param("CONNECT localhost:1 HTTP/1.1", "not-listed localhost:1", id="another port"),
    pytest.param("CONNECT 127.0.0.1:{} HTTP/1.1", "not-listed 127.0.0.1:{}", id="the address itself"),
    pytest.param("CONNECT [0::1]:{} HTTP/1.1", "not-listed [::1]:{}", id="an IPv6 address"),
    pytest.param("CONNECT 127.1:{} HTTP/1.1", "not-listed 127.1:{}", id="an address with parts left out"),
    pytest.param("CONNECT 2130706433:{} HTTP/1.1", "not-listed 2130706433:{}", id="an address as a number"),
    pytest.param("CONNECT localhost.:{} HTTP/1.1", "not-listed localhost.:{}", id="a final dot"),
    pytest.param("CONNECT x.localhost:{} HTTP/1.1", "not-listed x.localhost:{}", id="below a name"),
    pytest.param("GET http://other.test/secret HTTP/1.1", "not-listed other.test:80", id="a URL, without its path"),
    pytest.param("CONNECT a@localhost:{} HTTP/1.1", "malformed -", id="a user before the name"),
    pytest.param("CONNECT localhost:99999 HTTP/1.1", "malformed -", id="no port"),
    pytest.param("CONNECT localhost%00:{} HTTP/1.1", "malformed -", id="escaped"),
    pytest.param("CONNECT l\u00f6calhost:{} HTTP/1.1", "malformed -", id="not ASCII"),
    pytest.param("GET / HTTP/1.1\r\nHost: localhost:{}", "malformed -", id="a name in a header alone"),
    pytest.param("\x16\x03\x01", "malformed -", id="TLS"),
    pytest.param("GET http://localhost:{}/ HTTP/1.1\r\nA: " + "a" * 70000, "malformed -", id="a head without end"),
]


@pytest.mark.parametrize(("request_line", "said"), REFUSED)
def test_everything_else_is_refused_and_recorded(server: int, request_line: str, said: str) -> None:
    with proxy(f"localhost:{server}") as running:
        with contextlib.suppress(ConnectionResetError):
            answer = running.ask(request_line.replace("{}", str(server)))
            assert answer.startswith("HTTP/1.1 4") and "reached" not in answer
        assert running.end() == [f"deny {said.replace('{}', str(server))}"]


def test_a_request_for_a_url_is_passed_on_alone_and_without_what_is_for_the_proxy(server: int) -> None:
    with proxy(f"127.0.0.1:{server}") as running:
        head = (
            f"GET http://127.0.0.1:{server}/a?b HTTP/1.1\r\nHost: x\r\nProxy-Authorization: y\r\nConnection: keep-alive"
        )
        assert running.ask(head) == "reached:GET /a?b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def test_what_a_program_makes_it_say_is_bounded() -> None:
    with proxy("localhost:1") as running:
        for number in range(egress._MOST_REFUSED + 7):
            running.connect(f"a{number}.test:443")
        lines = running.end()
    assert len(lines) == egress._MOST_REFUSED + 1
    assert lines[-1] == "more 7"


def test_it_reaches_nothing_and_ends_when_nobody_records_it(server: int) -> None:
    with proxy(f"127.0.0.1:{server}") as running:
        assert running.connect("other.test:443")
        running.hears.shutdown(socket.SHUT_WR)  # it can still say so, and gets no answer
        with contextlib.suppress(ConnectionError):
            assert running.connect(f"127.0.0.1:{server}") == ""
        assert running.process.wait(10) == 1


def test_more_targets_than_are_recorded_are_not_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(egress, "_MOST_ALLOWED", 1)
    said: list[str] = []
    reporter = egress.Reporter(1)
    monkeypatch.setattr(reporter, "write", said.append)
    reporter.allow("a.sub.test:443")
    reporter.allow("a.sub.test:443")
    with pytest.raises(egress.Refused):
        reporter.allow("b.sub.test:443")
    assert said == ["allow a.sub.test:443"]


@pytest.mark.parametrize(
    ("host", "port", "listed"),
    [
        pytest.param("name.org", 443, True, id="as it is"),
        pytest.param("name.org", 80, False, id="another port"),
        pytest.param("files.name.org", 443, False, id="below a name"),
        pytest.param("xname.org", 443, False, id="a name that ends so"),
        pytest.param("a.example.org", 443, True, id="below a pattern"),
        pytest.param("b.a.example.org", 443, True, id="two below"),
        pytest.param("example.org", 443, False, id="the pattern's own name"),
        pytest.param(".example.org", 443, False, id="an empty label"),
        pytest.param("xexample.org", 443, False, id="no label of its own"),
        pytest.param("*.example.org", 443, True, id="the pattern's text, which no name is"),
        pytest.param("10.0.0.5", 8443, True, id="an address"),
        pytest.param("2001:db8::5", 443, True, id="an IPv6 address"),
    ],
)
def test_names_are_compared_whole(host: str, port: int, listed: bool) -> None:
    found = Targets(["Name.org:443", "*.Example.org:443", "10.0.0.5:8443", "[2001:DB8:0::5]:443"])
    assert found.has(host, port) is listed


@pytest.mark.parametrize(
    "text",
    [
        *("0.0.0.1", "10.1.2.3", "100.64.0.1", "127.0.0.1", "169.254.169.254", "172.16.0.1", "192.168.1.1"),
        *("192.0.2.1", "224.0.0.1", "255.255.255.255", "::", "::1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::7f00:1"),
        *("fe80::1", "fd00::1", "fec0::1", "ff02::1", "2001:db8::1", "2002:7f00:1::", "2001:0:7f00:1::1"),
        *("64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::1", "100::1"),
    ],
)
def test_what_is_not_public_is_known(text: str) -> None:
    assert not egress.is_public(ipaddress.ip_address(text))
    assert not Targets(["name.test:443"]).may_connect(ipaddress.ip_address(text), 443)


@pytest.mark.parametrize("text", ["1.1.1.1", "151.101.0.223", "2606:4700::1111", "64:ff9b::101:101"])
def test_what_is_public_is_known(text: str) -> None:
    assert egress.is_public(ipaddress.ip_address(text))


def test_the_host_s_own_addresses_are_known() -> None:
    assert egress.is_own(ipaddress.ip_address("127.0.0.1"))
    assert not egress.is_own(ipaddress.ip_address("192.0.2.1"))


@pytest.mark.parametrize(
    "target",
    ["name.org:443", "*.example.org:443", "a_b.test:1", "localhost:5432", "10.0.0.5:8443", "[2001:db8::1]:443"],
)
def test_a_target_may_be(target: str) -> None:
    assert targets.problem(target) == ""
    assert loader.parse(f'[run]\nnetwork = ["{target}"]\n').run_network == (target,)


NONE = [
    pytest.param("name.org", 'needs a port, as in "example.org:443"', id="no port"),
    pytest.param("name.org:", "needs a port", id="an empty port"),
    pytest.param(":443", "needs a port", id="no name"),
    pytest.param("name.org:https", "needs a port", id="a service"),
    pytest.param("name.org:0", "from 1 to 65535", id="port 0"),
    pytest.param("name.org:0443", "from 1 to 65535", id="a zero before"),
    pytest.param("name.org:65536", "from 1 to 65535", id="too high"),
    pytest.param("https://name.org:443", "brackets", id="a URL"),
    pytest.param("name.org/simple:443", "no valid name", id="a path"),
    pytest.param("*:443", 'write run.network = "nat"', id="everything"),
    pytest.param("*.*.org:443", "one * alone", id="two patterns"),
    pytest.param("na*.org:443", "one * alone", id="a pattern in a label"),
    pytest.param("n\u00e4me.org:443", "xn--", id="not ASCII"),
    pytest.param("name.org.:443", "no valid name", id="a final dot"),
    pytest.param("-x.org:443", "no valid name", id="an option"),
    pytest.param("a b.org:443", "no valid name", id="a blank"),
    pytest.param("127.1:443", "no valid address", id="half an address"),
    pytest.param("0x7f000001:443", "no valid address", id="a number"),
    pytest.param("*.0.0.1:443", "no valid address", id="a pattern of addresses"),
    pytest.param("2001:db8::1:443", "brackets", id="IPv6 without brackets"),
    pytest.param("[name.org]:443", "brackets", id="a name in brackets"),
    pytest.param("[fe80::1%eth0]:443", "brackets", id="a zone"),
]


@pytest.mark.parametrize(("target", "why"), NONE)
def test_a_wrong_target_is_named_with_its_line(target: str, why: str) -> None:
    with pytest.raises(Misconfigured) as refused:
        loader.parse(f'[run]\n\nnetwork = ["name.org:443", "{target}"]\n')
    assert str(refused.value).startswith(f"gateway.toml, line 3: run.network lists '{target}', which ")
    assert why in str(refused.value)


@pytest.mark.parametrize(
    ("value", "why"),
    [("[]", "lists nothing"), ("[1]", "is a number"), ('"NAT"', "none or nat, or a list"), ("1", "must be a string")],
)
def test_other_values_are_refused(value: str, why: str) -> None:
    with pytest.raises(Misconfigured, match=why):
        loader.parse(f"[run]\nnetwork = {value}\n")
