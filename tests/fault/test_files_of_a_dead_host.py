"""Files that a dead host of the cluster has open do not answer for a while: whoever waits for them hears of it.

The store here is a local directory. That of the limits is on a disk that does not answer, as on CephFS until that has
put the dead host out.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.limits import concurrency
from tests.fault.test_faulty_store import Disk
from tests.fault.test_faulty_store import disk as disk
from tests.harness import PASSPHRASE, Held, eventually
from tests.hosts import Cluster, cluster
from tests.laptop import laptop
from tests.system.test_enc_cluster import said

LONGER = 25.0
"""Seconds: longer than `enc` waits for a session where nothing has died."""


@pytest.fixture
def hosts(disk: Disk, ground: Path) -> Iterator[Cluster]:
    """One host is enough: the other one is dead."""
    with cluster(ground, 1) as made:
        files = made.one.vaults / ".state" / concurrency.PLACES
        files.mkdir(parents=True, exist_ok=True)
        owner = made.one.vaults.stat()
        for path in (files, files.parent):
            os.chown(path, owner.st_uid, owner.st_gid)
        subprocess.run(["mount", "--bind", disk.path, files], check=True)
        try:
            yield made
        finally:
            disk.now("ok")
            subprocess.run(["umount", "-l", files], check=True)


def test_who_waits_for_the_files_of_a_dead_host_is_told_and_gets_in(hosts: Cluster, disk: Disk) -> None:
    (who,) = hosts.person("dev")
    for project in ("parser", "lexer"):
        who.new(project)
    with who.mounted("lexer"):
        pass  # the files are there
    with laptop(who) as machine:
        disk.now("deaf")
        began = time.monotonic()
        stock = who.hold("mount", "lexer", stdin=PASSPHRASE + "\n")
        waits = Held([*machine.environment(), "enc", "mount", "parser", "--json"], PASSPHRASE + "\n")
        try:
            eventually(
                lambda: "enc: the gateway's shared disk does not answer: waiting for at most 55 s" in said(stock)
            )
            eventually(lambda: "has not opened a session yet: waiting for at most 60 s; Ctrl-C ends it" in said(waits))
            time.sleep(max(0.0, began + LONGER - time.monotonic()))
            disk.now("ok")
            stock.read_until("unlocked")
            done = waits.wait(30)
            assert done.status == 0, done
            assert done.err.count("waiting for") == 0, "it was told once"
            assert machine.enc("unmount", "parser").status == 0
        finally:
            waits.end()
            stock.end()
