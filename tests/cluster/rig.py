"""Two gateways on one real CephFS, each on a host of its own, and people in front of them."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.clients import Held, Result, run
from tests.cluster import hosts, writers
from tests.cluster.history import Epoch, History
from tests.cluster.hosts import LAN, SHARED, Host
from tests.cluster.store import Ceph
from tests.conditions import PATIENCE, bindir, eventually
from tests.harness import PASSPHRASE, Gateway, Person

PLACE = Path("/srv")
"""On the disk of this machine, and the same for all hosts; what is mounted there is not."""
PORT = 22
TAKEOVER = 45.0
"""Seconds after a host's death in which another can have what it had."""
NAMES = ("gw1", "gw2")
_SETTINGS = {"audit.syslog": "", "cluster.directory": str(SHARED / "cluster"), "paths.vaults": str(SHARED / "vaults")}


@dataclass
class ClusterGateway(Gateway):
    """A gateway that runs on a host. What is on the shared file system, we read and change as `observer`."""

    observer: Path = SHARED

    @property
    def vaults(self) -> Path:
        return self.observer / "vaults"

    @property
    def authorized_keys(self) -> Path:
        return self.observer / "cluster" / "authorized_keys"


class Rig:
    """`ceph` and both hosts are up. `hosts` and `gateways` are by name; what a test has lost, `repair` makes."""

    def __init__(self, ceph: Ceph) -> None:
        self.ceph = ceph
        self.hosts: dict[str, Host] = {}
        self.gateways: dict[str, ClusterGateway] = {}
        self.observer = PLACE / "observer"
        self._key = PLACE / "host_key"
        self._people = itertools.count(1)
        self._epochs = itertools.count(1)

    def start(self) -> Rig:
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self._key)], check=True)
        mount(self.ceph, "observer", self.observer)
        for name in NAMES:
            self._start(name)
        return self

    def _start(self, name: str) -> None:
        shutil.rmtree(PLACE / name / "run", ignore_errors=True)  # as after a boot
        host = hosts.start(name, NAMES.index(name) + 1)
        self.hosts[name] = host
        host.mount(self.ceph)
        address = host.address(LAN)
        flags = ("--listen", address, "--port", str(PORT), "--host-key", str(self._key))
        settings = {**_SETTINGS, "cluster.host": name, "cluster.address": f"{address}:{PORT}"}
        made = ClusterGateway(PLACE / name, settings, prefix=tuple(host.argv()), options=flags, observer=self.observer)
        self.gateways[name] = made
        made.start()

    def repair(self) -> None:
        """Start the hosts anew that are not up, or have been evicted."""
        for name, host in self.hosts.items():
            if not host.is_up():
                hosts.stop(host)
                self._start(name)

    def stop(self) -> None:
        for host in self.hosts.values():
            hosts.stop(host)
        subprocess.run(["umount", "-l", str(self.observer)], check=False)
        self.ceph.stop()

    def person(self) -> Person:
        """A new person, whom both hosts know; in front of gw1."""
        who = self.gateways["gw1"].person(f"p{next(self._people)}")
        word = Path(f"{who.key}.pub").read_text().split()[1]
        copies = [PLACE / name / "keys" / "authorized_keys" for name in NAMES]
        eventually(lambda: all(word in copy.read_text() for copy in copies))
        return who

    def admin(self, name: str, *words: str, timeout: float = PATIENCE) -> Result:
        """Run `enc-gateway WORDS` as root on the host `name`."""
        config = str(self.gateways[name].root / "gateway.toml")
        return self.hosts[name].run(str(bindir() / "enc-gateway"), *words, "--config", config, timeout=timeout)

    def at(self, who: Person, name: str) -> Person:
        """The same person in front of the host `name`."""
        return Person(self.gateways[name], who.name, who.key)

    @contextlib.contextmanager
    def unlocked(self, who: Person, project: str, seconds: float = PATIENCE) -> Iterator[Held]:
        """`who` has `project` unlocked, for the length of the block. It is tried until that works."""
        deadline = time.monotonic() + seconds
        while True:
            held = who.hold("mount", project, stdin=PASSPHRASE + "\n")
            try:
                while "unlocked" not in held.said and held.read_more(max(0.0, deadline - time.monotonic())):
                    pass
                if "unlocked" in held.said:
                    yield held
                    return
                assert time.monotonic() < deadline, f"not within {seconds} s: {held.wait(1)}"
                time.sleep(0.2)
            finally:
                held.end()

    @contextlib.contextmanager
    def writing(self, who: Person, project: str, seconds: float = PATIENCE) -> Iterator[Holder]:
        """As `unlocked`; a program in the project writes the records of a new epoch."""
        with self.unlocked(who, project, seconds) as held:
            since, epoch = time.monotonic(), next(self._epochs)
            program = who.hold("run", project, "--", "python3", "-", stdin=writers.in_project(epoch))
            host = who.gateway.settings["cluster.host"]
            holder = Holder(held, writers.Writer(epoch, host, program, since), since)
            try:
                holder.writer.wait_for("wrote")
                yield holder
            finally:
                holder.end()

    def judged(self, who: Person, project: str, epochs: tuple[Epoch, ...]) -> History:
        """What is in the locked project now: unlocked on gw2, read, locked, and looked at by `gocryptfs -fsck`."""
        there = self.at(who, "gw2")
        with self.unlocked(there, project, TAKEOVER):
            read = there.ssh("run", project, "--", "cat", writers.LOG, timeout=2 * PATIENCE)
        assert read.status == 0, read
        vault = there.vault(project)
        eventually(lambda: not self.gateways["gw2"].sessions())
        config = str(vault / "slots" / "passphrase.conf")
        words = ["gocryptfs", "-fsck", "-nosyslog", "-config", config, str(vault / "cipher")]
        fsck = run(words, PASSPHRASE + "\n", 2 * PATIENCE)
        complaints = () if fsck.status == 0 else tuple((fsck.out + fsck.err).splitlines())
        return History(epochs, writers.landed(read.out), complaints)


@dataclass
class Holder:
    """A session that has a project `since` then (CLOCK_MONOTONIC), and the writer in it."""

    session: Held
    writer: writers.Writer
    since: float
    epoch: Epoch | None = None

    def end(self) -> Epoch:
        """Kill the writer; what it was acknowledged."""
        if self.epoch is None:
            self.epoch = self.writer.end()
        return self.epoch


def mount(ceph: Ceph, client: str, where: Path) -> None:
    """Mount the file system here, as `client`."""
    where.mkdir(exist_ok=True)
    keyring = f"--keyring={ceph.keyring(client)}"
    words = ["ceph-fuse", "-c", str(ceph.conf), "-n", f"client.{client}", keyring, str(where)]
    subprocess.run(words, check=True, timeout=PATIENCE, capture_output=True)
    eventually(lambda: os.path.ismount(where))


@contextlib.contextmanager
def cluster() -> Iterator[Rig]:
    """Everything, for the length of the block."""
    bindir()
    with hosts.networks():
        rig = Rig(Ceph(PLACE / "ceph"))
        try:
            rig.ceph.start()
            yield rig.start()
        finally:
            rig.stop()
