"""`limits.disk` on CephFS: a quota of the store, for all hosts together, instead of a supervisor."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from tests.cluster.rig import Rig
from tests.conditions import eventually
from tests.harness import PASSPHRASE

MIB = 1 << 20
LIMIT = 24


@contextlib.contextmanager
def limited(rig: Rig, mebibytes: int) -> Iterator[None]:
    """Both hosts have limits.disk set, for the length of the block; root's command sets what is changed then."""
    files = [gateway.root / "gateway.toml" for gateway in rig.gateways.values()]
    before = [file.read_text() for file in files]
    for file, text in zip(files, before, strict=True):
        file.write_text(f"{text}\n[limits]\ndisk = {mebibytes}\n")
    try:
        yield
    finally:
        for file, text in zip(files, before, strict=True):
            file.write_text(text)


def quota(home: Path) -> int:
    try:
        return int(os.getxattr(home, "ceph.quota.max_bytes"))
    except OSError:
        return 0


def supervisors() -> list[str]:
    """The supervisors of a disk quota that run on this machine, on whichever host."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            line = file.read_bytes()
            if b"limits/disk/supervisor.py" in line:
                found.append(line.decode())
    return found


def test_the_store_keeps_limits_disk_on_all_hosts(rig: Rig) -> None:
    with limited(rig, LIMIT):
        who = rig.person()
        who.new("proj")
        home = who.vault("proj").parent
        eventually(lambda: quota(home) == LIMIT * MIB)
        with rig.unlocked(who, "proj"):
            assert supervisors() == []
            written = who.ssh("run", "proj", "--", "sh", "-c", "'head -c 100M /dev/zero >big; sync big'")
            assert "Disk quota exceeded" in written.err, written
            disk = who.ssh("status", "--json").json["disk"]
            assert isinstance(disk, dict) and disk["limit"] == LIMIT * MIB
        there = rig.at(who, "gw2")
        with rig.unlocked(there, "proj"):
            assert supervisors() == []
            refused = there.ssh("run", "proj", "--", "sh", "-c", "'head -c 40M /dev/zero >more; sync more'")
            assert "Disk quota exceeded" in refused.err, refused
        assert int(os.getxattr(home, "ceph.dir.rbytes")) < 2 * LIMIT * MIB
    with limited(rig, 1):
        refused = who.ssh("new", "more", stdin=f"{PASSPHRASE}\n{PASSPHRASE}\n")
        assert refused.status != 0 and "all of your quota of 1 MiB" in refused.err, refused
    swept = rig.admin("gw1", "sweep")
    assert swept.status == 0, swept
    eventually(lambda: quota(home) == 0)
