"""A host is lost in each way that there is, while a program writes: the other one has the project in bounded time, what
was acknowledged is there, and nothing of the lost host lands afterwards.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.cluster.history import faults
from tests.cluster.hosts import LAN, STORE, Host
from tests.cluster.rig import TAKEOVER, Rig
from tests.cluster.writers import count
from tests.harness import PATIENCE

AFTER = 3.0
"""Seconds in which both write, the lost one after it has come back."""
FROZEN = 45.0


def _cut_off(host: Host, is_on: bool) -> None:
    host.cut(STORE, is_on)
    host.cut(LAN, is_on)


LOST: list[tuple[str, Callable[[Host], None], Callable[[Host], None]]] = [
    ("killed", lambda host: host.kill(), lambda host: None),
    ("cut off", lambda host: _cut_off(host, True), lambda host: _cut_off(host, False)),
    ("hears nothing of the store", lambda host: host.deafen(), lambda host: host.deafen(False)),
    ("is not heard by the store", lambda host: host.mute(), lambda host: host.mute(False)),
    ("frozen", lambda host: host.freeze(True), lambda host: host.freeze(False)),
]


@pytest.mark.parametrize(("lose", "return_"), [pytest.param(*row[1:], id=row[0]) for row in LOST])
def test_a_lost_host_s_project_is_taken_over_and_nothing_is_lost_or_late(
    rig: Rig, lose: Callable[[Host], None], return_: Callable[[Host], None]
) -> None:
    who = rig.person()
    who.new("proj")
    there = rig.at(who, "gw2")
    host = rig.hosts["gw1"]
    with rig.writing(who, "proj") as first:
        lose(host)
        began = time.monotonic()
        with rig.writing(there, "proj", TAKEOVER) as second:
            print(f"takeover after {second.since - began:.1f} s")
            time.sleep(max(0.0, began + FROZEN - time.monotonic()) if host.is_frozen else 0.0)
            return_(host)
            time.sleep(AFTER)
            epochs = (first.end(), second.end())
    history = rig.judged(who, "proj", epochs)
    assert not faults(history)
    assert all(count((epoch,)) for epoch in epochs)


def test_host_evict_frees_at_once_what_a_dead_host_had(rig: Rig) -> None:
    who = rig.person()
    who.new("proj")
    there = rig.at(who, "gw2")
    with rig.writing(who, "proj") as first:
        rig.hosts["gw1"].kill()
        done = rig.admin("gw2", "host", "evict", "gw1", "--force")
        assert done.status == 0 and "evicted gw1: client" in done.out and "The OSDs block" in done.out, done
        with rig.writing(there, "proj", PATIENCE / 2) as second:  # half of what Ceph takes by itself
            epochs = (first.end(), second.end())
    assert not faults(rig.judged(who, "proj", epochs))
