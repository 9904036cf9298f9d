"""`run --net`: where the sysadmin allows it, a program reaches the network, and still not the host's own loopback."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import Gateway, Result, eventually, need, need_root
from tests.running import UnlockedProject, unlocked_project

TUN = 'mkdir "$1"; mknod "$1/tun" c 10 200; chmod 666 "$1/tun"; mount --bind "$1/tun" /dev/net/tun; shift; exec "$@"'
"""udev makes /dev/net/tun 0666; where there is no udev, in a mount namespace of the gateway's own."""


def address() -> str:
    """The host's address towards everything else; "" for none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.77", 9))
        except OSError:
            return ""
        return str(probe.getsockname()[0])


@contextlib.contextmanager
def server(host: str) -> Iterator[int]:
    """Whoever connects to this port and says something is told `reached`."""
    with socket.create_server((host, 0)) as listening:

        def answer() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client, _ = listening.accept()
                    with client:
                        client.sendall(b"reached" * len(client.recv(1)))

        threading.Thread(target=answer, daemon=True).start()
        yield int(listening.getsockname()[1])
        listening.shutdown(socket.SHUT_RDWR)


@pytest.fixture(scope="module")
def at(ground: Path) -> Iterator[UnlockedProject]:
    """An unlocked project on a gateway whose programs may have network."""
    need_root()
    need(Path("/dev/net/tun").exists(), "/dev/net/tun")
    need(bool(address()), "an address besides loopback")
    prefix = ("unshare", "--mount", "sh", "-euc", TUN, "sh", str(ground / "dev"))
    gateway = Gateway(ground / "gw", {"run.network": "nat"}, prefix=prefix).start()
    with unlocked_project(gateway, "connected") as made:
        yield made
    gateway.stop()


def reach(at: UnlockedProject, host: str, port: int, flags: tuple[str, ...] = ("--net",)) -> Result:
    """What a program of ours gets from there."""
    code = (
        f"import socket; s = socket.create_connection(({host!r}, {port}), 5); s.send(b'?'); print(s.recv(9).decode())"
    )
    return at.run("sh", "-c", f'python3 -c "{code}" 2>&1 | tail -n 1', flags=flags)


def test_a_program_reaches_the_network_only_when_both_say_so(at: UnlockedProject) -> None:
    with server(address()) as port:
        result = reach(at, address(), port)
        assert result.out.split() == ["reached"], result
        assert "unreachable" in reach(at, address(), port, flags=()).out
    assert at.gateway.events("request", verb="run", network=True)


@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.2.2", "localhost"])
def test_the_host_s_loopback_stays_out_of_reach(at: UnlockedProject, host: str) -> None:
    with server("127.0.0.1") as port:
        assert "reached" not in reach(at, host, port).out


def test_it_has_nothing_of_the_host_s_network_namespace(at: UnlockedProject) -> None:
    script = "cat /proc/net/unix | wc -l; cat /etc/resolv.conf; ls /sys/class/net 2>/dev/null; cat /proc/self/status"
    said = at.run("sh", "-c", script, flags=("--net",)).out
    assert said.startswith("1\nnameserver 10.0.2.3\n")
    assert "CapEff:\t0000000000000000\n" in said


def test_what_carries_the_network_ends_with_the_program(at: UnlockedProject) -> None:
    def carriers() -> bool:
        return any("slirp4netns" in args for args in at.gateway.processes().values())

    held = at.hold("sh", "-c", "echo up; sleep 600", flags=("--net",))
    held.read_until("up")
    assert carriers()
    held.end()
    eventually(lambda: not carriers(), 10)
