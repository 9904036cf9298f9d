"""Hosts of a cluster: each in mount, network and pid namespaces of its own, so that it can die, freeze and be cut off.

A host has two networks: `STORE`, with the Ceph cluster, and `LAN`, with people. We are at address 1 of both. The kernel
and the local disk are shared, and so is CLOCK_MONOTONIC: times of two hosts can be compared.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.clients import Held, Result, run
from tests.cluster import store
from tests.conditions import PATIENCE, eventually, need

STORE, LAN = "10.77.0", "10.78.0"
SHARED = Path("/srv/shared")
"""Where each host has the file system; a mount of its own in each mount namespace."""

_INIT = """
set -eu
mount -t proc proc /proc
mount -t tmpfs -o mode=0755 tmpfs /run
mkdir /run/sshd
ip link set lo up
touch /run/up
while :; do sleep 1 & wait; done
"""
_JOIN = 'echo $$ >"$1"; shift; exec "$@"'
_CONFIGURE = 'mountpoint -q /etc/ceph || mount -t tmpfs tmpfs /etc/ceph; cp "$1" /etc/ceph/ceph.conf'
_NOWHERE = "02:00:00:00:00:fe"
"""A MAC address that nobody has."""


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, timeout=PATIENCE)


@contextlib.contextmanager
def networks() -> Iterator[None]:
    """The two networks with our addresses on them, for the length of the block."""
    for number, (name, network) in enumerate((("store", STORE), ("lan", LAN))):
        # With an address of its own: else it has the lowest one of its ports', which a host that dies takes along, and
        # the living ones send to nowhere for half a minute
        ip("link", "add", name, "address", f"02:00:00:00:01:{number:02}", "type", "bridge")
        ip("addr", "add", f"{network}.1/24", "dev", name)
        ip("link", "set", name, "up")
    ip("addr", "add", f"{store.MDS_ADDRESS}/24", "dev", "store")
    try:
        yield
    finally:
        for name in ("store", "lan"):
            ip("link", "del", name)


def freezer() -> Path | None:
    """The root of the cgroup v2 hierarchy; None where there is none."""
    for line in Path("/proc/mounts").read_text().splitlines():
        if line.split()[2] == "cgroup2":
            return Path(line.split()[1])
    return None


@dataclass
class Host:
    """A running host. Commands run in it as root, with a clean environment."""

    name: str
    number: int
    init: subprocess.Popen[bytes]
    pid: int
    cgroup: Path | None

    def argv(self, *words: str) -> list[str]:
        clean = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "HOME=/root"]
        return [*_joining(self.cgroup), "nsenter", "-t", str(self.pid), "--mount", "--net", "--pid", *clean, *words]

    def run(self, *words: str, stdin: str = "", timeout: float = PATIENCE) -> Result:
        return run(self.argv(*words), stdin, timeout)

    def ok(self, *words: str, stdin: str = "") -> str:
        result = self.run(*words, stdin=stdin)
        assert result.status == 0, result
        return result.out

    def hold(self, *words: str, stdin: str = "") -> Held:
        return Held(self.argv(*words), stdin)

    def mount(self, ceph: store.Ceph) -> None:
        """Mount the file system with the cephx key of this host's name. A mount that was evicted is replaced."""
        self.ok("sh", "-c", _CONFIGURE, "sh", str(ceph.conf))
        self.run("umount", "-l", str(SHARED))
        SHARED.mkdir(exist_ok=True)
        keyring = f"--keyring={ceph.keyring(self.name)}"
        words = ["ceph-fuse", "-c", str(ceph.conf), "-n", f"client.{self.name}", keyring, str(SHARED)]
        self.ok(*words)
        eventually(lambda: self.run("mountpoint", "-q", str(SHARED)).status == 0)

    def is_up(self) -> bool:
        """Whether it runs and has the file system."""
        if self.init.poll() is not None or self.is_frozen:
            return False
        try:
            return self.run("ls", str(SHARED), timeout=15).status == 0
        except subprocess.TimeoutExpired:
            return False

    def address(self, network: str) -> str:
        return f"{network}.{10 + self.number}"

    def kill(self) -> None:
        """End everything that runs on it at once: a loss of power."""
        os.kill(self.pid, signal.SIGKILL)  # unshare waits for its child: the pid is still its own
        self.init.wait(PATIENCE)

    @property
    def is_frozen(self) -> bool:
        return self.cgroup is not None and "frozen 1" in (self.cgroup / "cgroup.events").read_text()

    def freeze(self, is_on: bool) -> None:
        """Stop everything that runs on it, ceph-fuse among it, or let it go on."""
        need(self.cgroup is not None, "no cgroup v2 to freeze a host with")
        assert self.cgroup is not None
        (self.cgroup / "cgroup.freeze").write_text("1" if is_on else "0")
        eventually(lambda: self.is_frozen == is_on)

    def cut(self, network: str, is_on: bool = True) -> None:
        """Pull the cable of a network out, or put it back. Nobody gets an error: packets vanish."""
        name = "store" if network == STORE else "lan"
        ip("link", "set", f"{name}-{self.number}", *(("nomaster",) if is_on else ("master", name)))

    def deafen(self, is_on: bool = True) -> None:
        """One direction alone: what the store sends does not arrive here."""
        where = ("neigh", "replace" if is_on else "del", self.address(STORE))
        ip(*where, *(("lladdr", _NOWHERE, "nud", "permanent") if is_on else ()), "dev", "store")

    def mute(self, is_on: bool = True, addresses: tuple[str, ...] = (store.ADDRESS, store.MDS_ADDRESS)) -> None:
        """The other direction alone: what this host sends does not arrive at the store, or at a part of it."""
        for address in addresses:
            where = ("ip", "neigh", "replace" if is_on else "del", address)
            self.ok(*where, *(("lladdr", _NOWHERE, "nud", "permanent") if is_on else ()), "dev", "store0")

    def lose_mds(self, is_on: bool = True) -> None:
        """It and the mds do not hear each other; the mon and the osd they hear."""
        self.mute(is_on, (store.MDS_ADDRESS,))
        ip("rule", "add" if is_on else "del", "blackhole", "from", store.MDS_ADDRESS, "to", self.address(STORE))


def start(name: str, number: int) -> Host:
    """Start a host on both networks."""
    root = freezer()
    cgroup = root / f"enc-{secrets.token_hex(4)}-{name}" if root else None
    if cgroup:
        cgroup.mkdir(exist_ok=True)
    words = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--propagation", "private"]
    argv = [*_joining(cgroup), *words, "sh", "-c", _INIT]
    # unshare complains when its child is killed, which is how a host ends
    init = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    pid = eventually(lambda: _child(init))
    host = Host(name, number, init, pid, cgroup)
    eventually(lambda: host.run("test", "-e", "/run/up").status == 0)
    for kind, network in (("store", STORE), ("lan", LAN)):
        outside, inside = f"{kind}-{number}", f"{kind}0"
        # The same address whenever it starts, as a machine has: else we send to the one of before for half a minute
        address = f"02:00:00:00:0{2 if kind == 'store' else 3}:{number:02}"
        ip("link", "add", outside, "type", "veth", "peer", "name", inside, "address", address, "netns", str(pid))
        ip("link", "set", outside, "master", kind, "up")
        host.ok("ip", "addr", "add", f"{host.address(network)}/24", "dev", inside)
        host.ok("ip", "link", "set", inside, "up")
    return host


def stop(host: Host) -> None:
    """End it, with whatever runs on it, frozen or not."""
    if host.cgroup:
        (host.cgroup / "cgroup.freeze").write_text("0")
    if host.init.poll() is None:
        host.kill()
    for kind in ("store", "lan"):  # the kernel would remove them, with the host's network, some time later
        subprocess.run(["ip", "link", "del", f"{kind}-{host.number}"], capture_output=True, check=False)
    if host.cgroup:
        eventually(lambda: _removed(host.cgroup))


def _removed(cgroup: Path | None) -> bool:
    with contextlib.suppress(OSError):
        assert cgroup is not None
        cgroup.rmdir()
        return True
    return False


def _joining(cgroup: Path | None) -> list[str]:
    """The words before a command that start it in `cgroup`."""
    return ["sh", "-c", _JOIN, "sh", str(cgroup / "cgroup.procs")] if cgroup else []


def _child(init: subprocess.Popen[bytes]) -> int:
    assert init.poll() is None, "the host did not start"
    children = Path(f"/proc/{init.pid}/task/{init.pid}/children").read_text().split()
    return int(children[0]) if children else 0
