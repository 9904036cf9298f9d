"""`enc-gateway doctor` on a host of a cluster: what it sees of CephFS."""

from __future__ import annotations

from tests.cluster.rig import Rig


def _about(rig: Rig) -> list[dict[str, str]]:
    """What doctor says on gw1 of the shared disk and the cluster."""
    done = rig.admin("gw1", "doctor", "--json")
    listed = done.json["findings"]
    assert isinstance(listed, list)
    return [one for one in listed if one["subject"] in ("shared disk", "cluster", "disk")]


def test_a_sound_host_follows_and_has_its_vaults_on_cephfs(rig: Rig) -> None:
    about = _about(rig)
    states = "\n".join(f"{one['level']} {one['state']}" for one in about)
    assert "OK gw1 follows" in states, states
    assert "vaults is on CephFS" in states, states
    assert "-0%" not in states, states
    assert "cephx key" not in states, states
    assert not [one for one in about if one["level"] == "FAIL" and one["subject"] != "disk"], states


def test_settings_of_ceph_with_which_a_dead_host_keeps_its_locks_or_writes_on_fail(rig: Rig) -> None:
    rig.ceph.fence(False)
    rig.ceph.defer_evictions(True)
    try:
        failed = {one["state"].split()[0]: one["fix"] for one in _about(rig) if one["level"] == "FAIL"}
    finally:
        rig.ceph.fence(True)
        rig.ceph.defer_evictions(False)
    for name, word in (
        ("mds_session_blocklist_on_timeout", "true"),
        ("mds_session_blocklist_on_evict", "true"),
        ("defer_client_eviction_on_laggy_osds", "false"),
    ):
        assert failed[name] == f"ceph config set mds {name} {word}", failed
