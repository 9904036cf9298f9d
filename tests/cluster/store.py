"""A Ceph file system made from nothing: one mon, one osd and two mds, which are children of ours.

They listen on `ADDRESS` and `MDS_ADDRESS`, which have to be there. Nothing of a Ceph that this machine may have is read
or changed.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import uuid
from pathlib import Path

from tests.conditions import PATIENCE, eventually

ADDRESS, MDS_ADDRESS = "10.77.0.1", "10.77.0.2"
FILE_SYSTEM = "encfs"
CLIENTS = ("gw1", "gw2", "observer")
NO_SNAPSHOTS = "gw2"
"""The client that may make none."""
MDS = ("m1", "m2")
_POOLS = ("meta", "data")
_FULL, _NEVER_FULL = ("0.001", "0.001", "0.001"), ("0.85", "0.90", "0.95")

_CONF = """\
[global]
fsid = {fsid}
mon host = [v2:{address}:3300,v1:{address}:6789]
mon initial members = a
public network = {address}/24
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
run dir = {place}
admin socket = {place}/$name.$pid.asok
pid file = {place}/$name.pid
log file = {place}/$name.log
keyring = {place}/$name.keyring
mon data = {place}/mon.$id
mds data = {place}/mds.$id
osd data = {place}/osd.$id
osd journal =
osd objectstore = bluestore
bluestore block size = 10737418240
bluestore cache autotune = false
bluestore cache size = 67108864
osd memory target = 939524096
mds cache memory limit = 268435456
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon warn on pool no redundancy = false
auth allow insecure global id reclaim = false
mon data avail warn = 1
mon data avail crit = 1
osd op num shards = 2
mon cluster log to file = false
[mds]
public addr = {mds_address}
"""


class Ceph:
    """A file system in `place`, a directory on a real disk. `start` returns when an mds is active and one stands by."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.conf = place / "ceph.conf"
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> Ceph:
        self.place.mkdir(parents=True)
        fsid = str(uuid.uuid4())
        self.conf.write_text(_CONF.format(fsid=fsid, address=ADDRESS, mds_address=MDS_ADDRESS, place=self.place))
        self._start_mon(fsid)
        self._start_osd()
        for name in MDS:
            self._key(f"mds.{name}", "mon", "allow profile mds", "osd", "allow rwx", "mds", "allow")
            (self.place / f"mds.{name}").mkdir()
            self.launch(f"mds.{name}")
        for pool in _POOLS:
            self.command("osd", "pool", "create", pool, "8")
        self.command("fs", "new", FILE_SYSTEM, *_POOLS)
        for setting in ("session_timeout", "session_autoclose"):
            self.command("fs", "set", FILE_SYSTEM, setting, "30")
        self.defer_evictions(False)
        for client in CLIENTS:
            # p: to set a quota, as a gateway does for limits.disk; s: to make a snapshot, as `backup` does
            flags = "rwp" if client == NO_SNAPSHOTS else "rwps"
            key = self.command("fs", "authorize", FILE_SYSTEM, f"client.{client}", "/", flags)
            self.keyring(client).write_text(key + "\n")
        eventually(lambda: self.active_mds() and self.standby_mds())
        return self

    def stop(self) -> None:
        for process in self._daemons.values():
            process.kill()
            process.wait()

    def _start_mon(self, fsid: str) -> None:
        admin, both, monmap = (str(self.place / name) for name in ("client.admin.keyring", "mon.a.keyring", "monmap"))
        everything = [word for daemon in ("mon", "osd", "mds", "mgr") for word in ("--cap", daemon, "allow *")]
        self._tool("ceph-authtool", "--create-keyring", both, "--gen-key", "-n", "mon.", "--cap", "mon", "allow *")
        self._tool("ceph-authtool", "--create-keyring", admin, "--gen-key", "-n", "client.admin", *everything)
        self._tool("ceph-authtool", both, "--import-keyring", admin)
        where = f"[v2:{ADDRESS}:3300,v1:{ADDRESS}:6789]"
        self._tool("monmaptool", "--create", "--addv", "a", where, "--fsid", fsid, monmap)
        self._tool("ceph-mon", "--mkfs", "-i", "a", "--monmap", monmap, "--keyring", both)
        self.launch("mon.a")

    def _start_osd(self) -> None:
        number = str(uuid.uuid4())
        assert self.command("osd", "new", number) == "0"
        self._key("osd.0", "mon", "allow profile osd", "osd", "allow *")
        (self.place / "osd.0").mkdir()
        self._tool("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", number)
        self.launch("osd.0")

    def _key(self, name: str, *capabilities: str) -> None:
        self.command("auth", "get-or-create", name, *capabilities, "-o", str(self.place / f"{name}.keyring"))

    def keyring(self, client: str) -> Path:
        return self.place / f"client.{client}.keyring"

    def _tool(self, *words: str) -> str:
        done = subprocess.run(
            [words[0], "-c", str(self.conf), *words[1:]] if words[0] in ("ceph-mon", "ceph-osd") else words,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, (words, done.stderr)
        return done.stdout.strip()

    def command(self, *words: str) -> str:
        """The output of `ceph WORDS`, which has to succeed."""
        argv = ["ceph", "-c", str(self.conf), "--connect-timeout", "20", *words]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=2 * PATIENCE, check=False)
        assert done.returncode == 0, (words, done.stderr)
        return done.stdout.strip()

    def launch(self, daemon: str) -> None:
        """Start a daemon that does not run."""
        kind, _, number = daemon.partition(".")
        words = [f"ceph-{kind}", "-f", "-c", str(self.conf), "-i", number]
        with (self.place / f"{daemon}.out").open("ab") as out:
            self._daemons[daemon] = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=out, stderr=out)

    def kill(self, daemon: str) -> None:
        self._daemons[daemon].kill()
        self._daemons[daemon].wait()

    def freeze(self, daemon: str) -> None:
        os.kill(self._daemons[daemon].pid, signal.SIGSTOP)

    def thaw(self, daemon: str) -> None:
        if daemon.startswith("osd."):
            # As other osds have it done after 20 s. A lone one that is never given up has its placement groups' read
            # leases run out meanwhile, and what waits for those sometimes waits for ever then (16.2).
            self.command("osd", "down", daemon)
        os.kill(self._daemons[daemon].pid, signal.SIGCONT)

    def active_mds(self) -> str:
        """The name of the mds that serves; "" if none does."""
        return next((name for name, state in self._mds_states().items() if state == "up:active"), "")

    def standby_mds(self) -> str:
        return next((name for name, state in self._mds_states().items() if state == "up:standby"), "")

    def _mds_states(self) -> dict[str, str]:
        dump = json.loads(self.command("fs", "dump", "-f", "json"))
        infos = [*dump["standbys"], *(info for fs in dump["filesystems"] for info in fs["mdsmap"]["info"].values())]
        return {info["name"]: info["state"] for info in infos}

    def evict(self, client: str) -> None:
        """Have the active mds throw a client out, as it does by itself with one that it has not heard of for 30 s."""
        daemon = f"mds.{self.active_mds()}"
        sessions = json.loads(self.command("tell", daemon, "session", "ls"))
        (number,) = (one["id"] for one in sessions if one["client_metadata"].get("entity_id") == client)
        self.command("tell", daemon, "client", "evict", f"id={number}")

    def defer_evictions(self, is_on: bool) -> None:
        """Whether an mds gives no client up while an osd counts as slow. Without this setting, it does so."""
        self.command("config", "set", "mds", "defer_client_eviction_on_laggy_osds", "true" if is_on else "false")

    def fill(self, is_full: bool) -> None:
        """Have the osds count as full, or not."""
        ratios = _FULL if is_full else _NEVER_FULL
        names = ("set-nearfull-ratio", "set-backfillfull-ratio", "set-full-ratio")
        for name, ratio in zip(names, ratios, strict=True):
            self.command("osd", name, ratio)
        eventually(lambda: ("full" in self._osd_states()) == is_full)

    def _osd_states(self) -> list[str]:
        states = json.loads(self.command("osd", "dump", "-f", "json"))["osds"][0]["state"]
        assert isinstance(states, list)
        return states

    def fence(self, is_on: bool) -> None:
        """Whether an mds has the osds refuse a client before it gives that client's locks to another."""
        for setting in ("mds_session_blocklist_on_timeout", "mds_session_blocklist_on_evict"):
            self.command("config", "set", "mds", setting, "true" if is_on else "false")
