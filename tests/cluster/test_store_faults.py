"""The store itself fails while a project is unlocked: it stays so, or is locked in bounded time; nothing is lost."""

from __future__ import annotations

import errno
import time

import pytest

from gateway.warden.cluster_watch import BEAT_SECONDS
from tests.cluster.history import faults
from tests.cluster.rig import Rig
from tests.harness import PASSPHRASE, PATIENCE, Person, eventually, stays

LOCKED_WITHIN = 45.0
"""Seconds after the store has stopped to answer: 20 s without a heartbeat, and what ending takes."""
MDS_CHANGE = 40.0
"""Seconds in which a standby has taken over."""
QUORUM_LOST = 40.0
ROOM_AGAIN = 90.0
"""Seconds in which a client has heard that the store is full no longer."""


@pytest.fixture
def who(rig: Rig) -> Person:
    made = rig.person()
    made.new("proj")
    return made


def test_an_evicted_host_locks_at_once_and_says_so(rig: Rig, who: Person) -> None:
    with rig.writing(who, "proj") as first:
        rig.ceph.evict("gw1")
        said = first.session.wait(20)
        epoch = first.end()
    assert "lost the disk" in said.out, said
    assert not rig.gateways["gw1"].sessions()
    history = rig.judged(who, "proj", (epoch,))
    assert not faults(history)


def test_a_store_that_hangs_locks_the_project_in_bounded_time(rig: Rig, who: Person) -> None:
    with rig.writing(who, "proj") as first:
        rig.ceph.freeze("osd.0")
        try:
            said = first.session.wait(LOCKED_WITHIN)
            eventually(lambda: not rig.gateways["gw1"].sessions())
        finally:
            rig.ceph.thaw("osd.0")
        epoch = first.end()
    assert "no longer to be seen" in said.err, said
    assert any(record.get("reason") == "storage-lost" for record in rig.gateways["gw1"].audit())
    assert not faults(rig.judged(who, "proj", (epoch,)))


def test_a_full_store_locks_nothing_and_loses_nothing(rig: Rig, who: Person) -> None:
    with rig.writing(who, "proj") as first:
        rig.ceph.fill(True)
        try:
            first.writer.wait_for(f"failed {errno.ENOSPC}")
            stays(lambda: first.session.process.poll() is None, 2 * BEAT_SECONDS + 2)
        finally:
            rig.ceph.fill(False)
        first.writer.wait_for("wrote", ROOM_AGAIN)
        assert first.session.process.poll() is None
        epoch = first.end()
    assert not faults(rig.judged(who, "proj", (epoch,)))


def test_the_lock_outlives_the_mds(rig: Rig, who: Person) -> None:
    there = rig.at(who, "gw2")
    with rig.writing(who, "proj") as first:
        active = rig.ceph.active_mds()
        rig.ceph.kill(f"mds.{active}")
        try:
            eventually(lambda: rig.ceph.active_mds() not in ("", active), MDS_CHANGE)
            first.writer.wait_for("wrote", MDS_CHANGE)
            refused = there.ssh("mount", "proj", stdin=PASSPHRASE + "\n", timeout=2 * PATIENCE)
        finally:
            rig.ceph.launch(f"mds.{active}")
        assert refused.status == 75, refused
        assert first.session.process.poll() is None
        epoch = first.end()
    eventually(rig.ceph.standby_mds)
    assert not faults(rig.judged(who, "proj", (epoch,)))


def test_without_a_quorum_nothing_is_lost_and_it_comes_back_by_itself(rig: Rig, who: Person) -> None:
    """Longer than the mds does without its beacons, which then serves nobody: what is unlocked may be locked."""
    with rig.writing(who, "proj") as first:
        rig.ceph.freeze("mon.a")
        try:
            time.sleep(QUORUM_LOST)
        finally:
            rig.ceph.thaw("mon.a")
        eventually(rig.ceph.active_mds, MDS_CHANGE)
        epoch = first.end()
    eventually(rig.ceph.standby_mds, MDS_CHANGE)
    assert not faults(rig.judged(who, "proj", (epoch,)))
