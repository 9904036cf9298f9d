"""`run --net`: where the sysadmin allows it, a program reaches the network, and still not the host's own loopback."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import PASSPHRASE, PROMPT, Gateway, Result, eventually, need, need_root
from tests.running import UnlockedProject, unlocked_project

HOST = """
mkdir -p "$1" "$1/etc"
mknod "$1/tun" c 10 200; chmod 666 "$1/tun"; mount --bind "$1/tun" /dev/net/tun
cp -a /etc/. "$1/etc/"; mount --bind "$1/etc" /etc
shift; exec "$@"
"""
"""udev makes /dev/net/tun 0666; where there is no udev, in a mount namespace of the gateway's own, where it has an
/etc of its own as well."""


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
    prefix = ("unshare", "--mount", "sh", "-euc", HOST, "sh", str(ground / "host"))
    gateway = Gateway(ground / "gw", {"run.network": "nat"}, prefix=prefix).start()
    with unlocked_project(gateway, "connected") as made:
        yield made
    gateway.stop()


def reach(at: UnlockedProject, host: str, port: int, flags: tuple[str, ...] = ("--net",)) -> Result:
    """What a program of ours gets from there."""
    return at.run("sh", "-c", f'python3 -c "{client(host, port)}" 2>&1 | tail -n 1', flags=flags)


def client(host: str, port: int) -> str:
    return (
        f"import socket; s = socket.create_connection(({host!r}, {port}), 5); s.send(b'?'); print(s.recv(9).decode())"
    )


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


def carriers(at: UnlockedProject) -> set[int]:
    """slirp4netns at work, and the bubblewraps around it."""
    return {pid for pid, args in at.gateway.processes().items() if "slirp4netns" in args}


def test_what_carries_the_network_ends_with_the_program(at: UnlockedProject) -> None:
    with at.connected():
        assert carriers(at)
    eventually(lambda: not carriers(at), 10)


def test_slirp4netns_sees_nothing_of_the_host_and_has_no_capability(at: UnlockedProject) -> None:
    with at.connected():
        (pid,) = (pid for pid in carriers(at) if Path(f"/proc/{pid}/comm").read_text() == "slirp4netns\n")
        root = Path(f"/proc/{pid}/root")
        eventually(lambda: {path.name for path in root.iterdir()} == {"etc", "run"}, 10)
        assert [path.name for path in root.glob("etc/*")] == ["resolv.conf"]
        assert [path.name for path in root.glob("run/*")] == ["resolver"]
        for hidden in (at.person.vault(at.project), at.gateway.root, Path("/home"), Path("/root"), Path("/proc")):
            assert not os.path.lexists(root / str(hidden).lstrip("/"))
        status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        assert status["CapPrm"] == status["CapBnd"] == f"{1 << 10:016x}", "CAP_NET_BIND_SERVICE alone"
        assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
        for other in (str(at.gateway.warden()), "self"):
            for kind in ("mnt", "user", "pid", "ipc", "uts"):
                assert os.readlink(f"/proc/{pid}/ns/{kind}") != os.readlink(f"/proc/{other}/ns/{kind}")


def test_a_prompt_that_has_read_a_passphrase_gives_network_as_well(at: UnlockedProject) -> None:
    """Its process is one that nobody may look into, and whose files in /proc are root's."""
    at.person.new("prompted")
    terminal = at.person.terminal()
    terminal.expect(PROMPT)
    terminal.send("mount prompted\n")
    terminal.expect("Passphrase of prompted: ")
    terminal.send(PASSPHRASE + "\n")
    terminal.expect("unlocked prompted")
    with server(address()) as port:
        terminal.send(f'run prompted --net -- python3 -c "{client(address(), port)}"\n')
        terminal.expect("reached\r\n")
    terminal.close()


def resolver(address: str, answer: str) -> socket.socket:
    """Answers every question for a name with the address `answer`."""
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind((address, 53))

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                asked, who = made.recvfrom(512)
                end = asked.index(b"\0", 12) + 5
                record = b"\xc0\x0c\0\1\0\1\0\0\0\0\0\4" + socket.inet_aton(answer)
                made.sendto(asked[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + asked[12:end] + record, who)

    threading.Thread(target=serve, daemon=True).start()
    return made


RESOLVING = """
import socket, time
while True:
    print(socket.gethostbyname("some.name.test"), flush=True)
    time.sleep(0.2)
"""


def test_names_are_resolved_by_whom_the_host_asks_now(at: UnlockedProject, ground: Path) -> None:
    """Also for a program that is there already, when /etc/resolv.conf is replaced; and where it is a link."""
    resolv_conf = Path(f"/proc/{at.gateway.pid}/root/etc/resolv.conf")
    hosts = [f"127.{os.getpid() >> 8 & 255}.{os.getpid() & 255}.{number}" for number in (7, 8)]
    at.put("resolving.py", RESOLVING)
    with resolver(hosts[0], "192.0.2.1"), resolver(hosts[1], "192.0.2.2"):
        resolv_conf.write_text(f"nameserver {hosts[0]}\n")
        held = at.hold("python3", "resolving.py", flags=("--net",))
        held.read_until("192.0.2.1\n")
        draft = resolv_conf.with_name("resolv.conf.new")
        draft.write_text(f"nameserver {hosts[1]}\n")
        draft.rename(resolv_conf)
        held.read_until("192.0.2.2\n")
        held.end()
        resolv_conf.unlink()
        (ground / "stub.conf").write_text(f"nameserver {hosts[0]}\n")
        resolv_conf.symlink_to(ground / "stub.conf")
        held = at.hold("python3", "resolving.py", flags=("--net",))
        held.read_until("192.0.2.1\n")
        held.end()


@pytest.mark.parametrize("target", ["", "nowhere/resolv.conf", "/root/resolv.conf", "/proc/1/root/x"])
def test_there_is_network_without_a_resolver(at: UnlockedProject, target: str) -> None:
    resolv_conf = Path(f"/proc/{at.gateway.pid}/root/etc/resolv.conf")
    resolv_conf.unlink(missing_ok=True)
    if target:
        resolv_conf.symlink_to(target)
    with server(address()) as port:
        result = reach(at, address(), port)
        assert result.out.split() == ["reached"], result
