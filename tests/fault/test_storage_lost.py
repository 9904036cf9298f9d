"""A host of a cluster whose shared disk fails or does not answer ends its sessions, and asks it for nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fault.clustered import someone_on
from tests.fault.test_faulty_store import Disk, disk
from tests.harness import PASSPHRASE, Person, eventually
from tests.life import SLACK

__all__ = ["disk"]

WITHIN = {"EIO": 5.0, "hang": 20.0 + 5.0}
"""Seconds until a heartbeat fails, or has been missing for too long (docs/threat-model.md)."""
PROMISED = 5.0
"""Seconds for every way to end."""


@pytest.fixture
def who(disk: Disk, ground: Path) -> Iterator[Person]:
    """Somebody with a project on that disk, on a host of a cluster."""
    name = disk.path.parent.name
    with someone_on(disk, ground / f"{name}-gw1", ground / f"{name}-shared", disk.path) as someone:
        yield someone


@pytest.mark.parametrize("how", WITHIN)
def test_a_session_ends_by_itself_before_another_host_can_have_its_project(who: Person, disk: Disk, how: str) -> None:
    held = who.hold("mount", "work", "--json", stdin=PASSPHRASE + "\n")
    held.read_until("unlocked")
    eventually(lambda: list(disk.backing.glob("u-someone/.heartbeat/s-*")))
    disk.now(how)
    ended = held.wait(WITHIN[how] + PROMISED + SLACK)
    assert ended.status == 75
    (locked,) = (said for said in map(json.loads, ended.out.splitlines()) if said["event"] == "locked")
    assert locked["reason"] == "storage-lost"
    assert who.gateway.events("session-closed", reason="storage-lost")
    assert not who.gateway.sessions()
    assert who.ssh("status").out == "no sessions; nothing is unlocked\n"
    disk.now("ok")
    eventually(lambda: not who.gateway.leftovers())
    with who.mounted("work"):
        assert who.ssh("run", "work", "--", "true").status == 0
