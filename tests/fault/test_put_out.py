"""A host whose shared file system answers every call with ESHUTDOWN, as it does once Ceph has put the host out.

Python makes a BrokenPipeError of that. It must not count as a closed standard output.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fault.clustered import someone_on
from tests.fault.test_faulty_store import Disk, disk
from tests.harness import PASSPHRASE, Gateway, Person, admin, bindir

__all__ = ["disk"]

WHY = "Cannot send after transport endpoint shutdown"
LOST = (
    f"the gateway's disk does not work on this host now: {WHY}; try another host of the gateway, or tell your sysadmin"
)


@pytest.fixture
def who(disk: Disk, ground: Path) -> Iterator[Person]:
    """Somebody with a project, on a host of a cluster that has all it shares on that disk."""
    os.chown(disk.backing, 0, 0)
    disk.backing.chmod(0o755)
    settings = {"cluster.stale": "600"}
    with someone_on(disk, ground / "gw1", disk.path / "shared", disk.path / "vaults", settings) as someone:
        yield someone


def doctor(gateway: Gateway) -> list[dict[str, str]]:
    """The findings."""
    found: list[dict[str, str]] = json.loads(admin(gateway, "doctor", "--json").out)["findings"]
    return found


def subjects(findings: list[dict[str, str]]) -> set[str]:
    return {one["subject"] for one in findings}


def test_each_command_says_that_the_disk_does_not_work_and_doctor_makes_its_other_checks(
    who: Person, disk: Disk, tmp_path: Path
) -> None:
    gateway = who.gateway
    healthy = doctor(gateway)
    disk.now("lost ESHUTDOWN")

    for words in (("vaults",), ("backup", str(tmp_path / "copies")), ("sweep",), ("audit", "verify"), ("metrics",)):
        said = admin(gateway, *words)
        assert said.status == 75 and said.err.startswith(f"enc-gateway: {disk.path}"), (words, said)
        assert said.err.count("\n") == 1 and WHY in said.err, (words, said)
    alone = admin(gateway).out
    assert f"/vaults: {WHY}" in alone and "look as root" not in alone

    findings = doctor(gateway)
    of_disk = [one for one in findings if WHY in one["state"]]
    assert {"owners and modes", "keys", "audit", "cluster", "pause"} == subjects(of_disk)
    for one in of_disk:
        assert one["state"].startswith(str(disk.path)), one
        assert one["fix"] == f"Ceph has put this host out: umount -l {disk.path}; mount {disk.path}"
    assert subjects(healthy) - subjects(findings) <= {"members", "unlocking"}, "they need the vaults"

    for words in (("whoami",), ("ls",), ("slots", "work"), ("touch", "work"), ("mount", "work"), ("new", "another")):
        refused = who.ssh(*words, stdin=PASSPHRASE + "\n")
        assert (refused.status, refused.err) == (75, f"enc: {LOST}\n"), words
    assert who.ssh("status").status == 0
    assert not gateway.events("fault")


def test_a_closed_standard_output_is_told_to_nobody(who: Person) -> None:
    words = [str(bindir() / "enc-gateway"), "doctor", "--config", str(who.gateway.root / "gateway.toml")]
    reader, writer = os.pipe()
    os.close(reader)
    ended = subprocess.run(words, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (ended.returncode, ended.stderr) == (141, b"")
