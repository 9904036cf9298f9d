"""Hosts of a cluster for tests: embedded gateways that share a directory, and people who use all of them."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.harness import Gateway, Person, admin, eventually, parent

PROCESSES = 3
"""Of `enc-gateway host follow`: itself and its children."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Host(Gateway):
    """One of them, which a test may freeze and kill."""

    @property
    def name(self) -> str:
        return self.settings["cluster.host"]

    @property
    def port(self) -> int:
        return int(self.settings["cluster.address"].rpartition(":")[2])

    @property
    def copy(self) -> Path:
        """What this host has copied of what the hosts share."""
        return copy(self, "authorized_keys").parent

    def is_up(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def freeze(self) -> None:
        """Stop everything of it at once: whoever waits for it gets no answer."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        for pid in (self.pid, *self.processes()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def die(self) -> None:
        """Kill everything of it at once, as a power failure does."""
        pids = [self.pid, *self.processes()]
        for _ in range(2):  # what was started meanwhile
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            pids = [*self.processes()]
        assert self._process
        self._process.wait(10)


@dataclass(frozen=True)
class Cluster:
    """Hosts gw1, gw2, ..., with the same host key."""

    shared: Path
    hosts: tuple[Host, ...]

    @property
    def one(self) -> Host:
        return self.hosts[0]

    @property
    def two(self) -> Host:
        return self.hosts[1]

    def person(self, name: str) -> tuple[Person, ...]:
        """A new person, as a user of each host."""
        (made,) = self._made(self.one.person(name))
        return made

    def people(self, *principals: str) -> dict[str, tuple[Person, ...]]:
        """New people of these names: the hosts take a second to copy the keys, of one or of all."""
        made = self._made(*(self.one.person(name, name) for name in principals))
        return dict(zip(principals, made, strict=True))

    def _made(self, *new: Person) -> list[tuple[Person, ...]]:
        blobs = [Path(f"{one.key}.pub").read_text().split()[1] for one in new]
        keys = [copy(host, "authorized_keys") for host in self.hosts]
        eventually(lambda: all(blob in each.read_text() for each in keys for blob in blobs))
        return [tuple(dataclasses.replace(one, gateway=host) for host in self.hosts) for one in new]

    def listed(self, at: int = 0) -> dict[str, dict[str, object]]:
        """`host list` on the host of that number, by host."""
        return {str(one["host"]): one for one in asked(self.hosts[at], "host", "list")["hosts"]}


def copy(host: Gateway, name: str) -> Path:
    """A file of the copy of what the hosts share."""
    return host.root / "keys" / name


def follower(host: Gateway) -> int:
    """The pid of `enc-gateway host follow`, which has children of its own."""
    (pid,) = (pid for pid in followers(host) if parent(pid) == host.pid)
    return pid


def followers(host: Gateway) -> list[int]:
    """The pids of all of its processes (PROCESSES)."""
    return [pid for pid, args in host.processes().items() if " host follow " in args]


def asked(host: Gateway, *words: str) -> dict[str, list[dict[str, object]]]:
    """What `enc-gateway WORDS --json` says there."""
    result = admin(host, *words, "--json")
    assert result.status == 0, result
    found: dict[str, list[dict[str, object]]] = json.loads(result.out)
    return found


@contextlib.contextmanager
def cluster(place: Path, number: int = 2, **settings: str) -> Iterator[Cluster]:
    """Hosts in `place`, which share `place`/shared. Nothing of them is left afterwards."""
    key, shared = place / "host_key", place / "shared"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    with contextlib.ExitStack() as stack:
        hosts = []
        for name in (f"gw{at}" for at in range(1, number + 1)):
            port = free_port()
            own = {"directory": str(shared), "host": name, "address": f"127.0.0.1:{port}"}
            given = {**{f"cluster.{one}": value for one, value in own.items()}, **settings}
            options = ("--port", str(port), "--host-key", str(key))
            host = Host(place / name, given, options=options)
            host.start()
            stack.callback(_stop, host)
            hosts.append(host)
        made = Cluster(shared, tuple(hosts))
        eventually(lambda: all(len(made.listed(at)) == number for at in range(number)))
        yield made
        alive = [host for host in hosts if host.is_up()]
        eventually(lambda: not [left for host in alive for left in host.leftovers()])
    assert not [pid for host in hosts for pid in host.processes()]
    assert os.path.isdir(shared)


def _stop(host: Host) -> None:
    if host.is_up():
        host.thaw()  # a test that failed may have left it
        host.stop()
