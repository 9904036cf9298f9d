"""`enc-gateway backup` on CephFS copies all vaults of one moment, from a snapshot that is gone afterwards."""

from __future__ import annotations

import os
from pathlib import Path

from tests.clients import Result
from tests.cluster.rig import Rig


def backup(rig: Rig, name: str, where: Path, *flags: str) -> Result:
    return rig.admin(name, "backup", *flags, str(where))


def test_a_backup_is_of_one_moment_and_what_has_not_changed_is_not_copied_again(rig: Rig) -> None:
    who = rig.person()
    who.new("still")
    who.new("busy")
    where = rig.gateways["gw1"].root / "backup"
    with rig.writing(who, "busy"):
        first = backup(rig, "gw1", where)
        again = backup(rig, "gw1", where, "--json")
    assert first.status == 0, first
    assert first.out.rstrip().endswith("UTC, one moment for all"), first
    assert again.status == 0, again
    copied = again.json["vaults"]
    assert isinstance(copied, list)
    changed = {one["project"]: one["changed"] for one in copied if one["principal"] == who.fingerprint}
    assert changed == {"still": False, "busy": True}, again
    assert str(again.json["moment"]).endswith("Z")
    assert os.listdir(rig.gateways["gw1"].vaults / ".snap") == []
    assert backup(rig, "gw1", where).status == 0


def test_a_key_that_may_make_no_snapshot_is_told_and_the_vaults_are_copied(rig: Rig) -> None:
    who = rig.person()
    who.new("proj")
    done = backup(rig, "gw2", rig.gateways["gw2"].root / "backup")
    assert done.status == 0, done
    (line,) = done.err.splitlines()
    assert "no snapshot" in line and "needs the flag s" in line, done
    assert "one moment" not in done.out
