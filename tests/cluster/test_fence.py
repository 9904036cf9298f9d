"""What all of this rests on: the store refuses what a host writes that it has given up. Without that, our checker of
histories finds it, which shows that the checker would.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.cluster.history import History, faults
from tests.cluster.hosts import SHARED
from tests.cluster.rig import Rig
from tests.cluster.writers import LOG, SIZE, Writer, count, landed, on_store


@pytest.fixture
def unfenced(rig: Rig) -> Iterator[None]:
    rig.ceph.fence(False)
    yield
    rig.ceph.fence(True)


def _history(rig: Rig, name: str) -> History:
    """Of one who writes, on the shared file system itself, on a host that is evicted and does not hear of it, for only
    the osds hear that host; and of one who gets the lock then.
    """
    (rig.observer / name).mkdir()
    with (rig.observer / name / LOG).open("wb") as log:
        log.write(bytes(SIZE))
        os.fsync(log.fileno())
    host = rig.hosts["gw1"]

    def start(epoch: int, host: str) -> Writer:
        words = ("sh", "-c", 'cd "$1" && exec python3 -', "sh", str(SHARED / name))
        return Writer(epoch, host, rig.hosts[host].hold(*words, stdin=on_store(epoch)))

    first = start(1, "gw1")
    try:
        first.wait_for("wrote")
        host.lose_mds()
        rig.ceph.evict("gw1")
        second = start(2, "gw2")
        try:
            for _ in range(100):
                second.wait_for("wrote")
        finally:
            newer = second.end()
    finally:
        older = first.end()
        host.lose_mds(False)
        host.kill()  # whatever it still believes
    assert count((older,)) and count((newer,))
    return History((older, newer), landed((rig.observer / name / LOG).read_text(errors="replace")))


def test_nothing_of_an_evicted_host_lands(rig: Rig) -> None:
    assert not faults(_history(rig, "fenced"))


@pytest.mark.usefixtures("unfenced")
def test_without_the_fence_it_does_and_is_found(rig: Rig) -> None:
    found = faults(_history(rig, "unfenced"))
    assert any("after gw2 had the project, and acknowledged" in fault for fault in found), found
    assert any("was acknowledged on gw" in fault and "is not there" in fault for fault in found), found
