"""What doctor says of a cluster, and how it reads mounts and Ceph's configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.cluster import ceph, mount_table
from gateway.cluster.host_record import HostRecord
from gateway.doctor.cluster import hosts, storage
from gateway.identity.names import HostName

TABLE = """\
/dev/sda1 / ext4 rw 0 0
ceph-fuse /mnt/ceph fuse.ceph-fuse rw,nosuid 0 0
server:/x /mnt/a\\040b nfs4 rw,vers=4.2 0 0
enc:one /home/\u2028x\x85y\x0bz fuse.sshfs rw 0 0
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/mnt/ceph/enc", "fuse.ceph-fuse"),
        ("/mnt/cephalon", "ext4"),
        ("/mnt/a b/c", "nfs4"),
        ("/", "ext4"),
        ("/home/\u2028x\x85y\x0bz/a", "fuse.sshfs"),
    ],
)
def test_the_nearest_mount_is_found(path: str, kind: str) -> None:
    assert mount_table.find(TABLE, path).kind == kind


@pytest.mark.parametrize("kind", ["nfs4", "fuse.glusterfs", "fuse.juicefs", "cifs", "fuse.sshfs"])
def test_vaults_on_another_network_file_system_are_a_failure(kind: str) -> None:
    (found,) = storage._kind("/v", kind)
    assert found.level.value == "FAIL"


def test_ceph_and_local_disks_are_none() -> None:
    assert [one.level.value for one in storage._kind("/v", "fuse.ceph-fuse")] == ["OK"]
    assert list(storage._kind("/v", "ext4")) == []


def test_a_cluster_on_a_local_disk_is_a_failure_and_a_trial_a_warning(tmp_path: Path) -> None:
    assert list(storage.mounted("/v", "fuse.ceph-fuse", False)) == []
    (here,) = storage.mounted(str(tmp_path), "ext4", False)
    assert here.level.value == "FAIL" and "the shared file system is not mounted there" in here.state
    (missing,) = storage.mounted(f"{tmp_path}/none", "ext4", False)
    assert missing.level.value == "FAIL" and "is missing" in missing.state
    (trial,) = storage.mounted(str(tmp_path), "ext4", True)
    assert trial.level.value == "WARN"


@pytest.mark.parametrize("name", ["ceph.client.gw1.keyring", "keyring"])
def test_a_key_of_ceph_that_the_account_can_read_is_a_failure(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("key")
    (tmp_path / "ceph.conf").write_text("")
    path.chmod(0o644)
    (found,) = storage.keyrings(str(tmp_path))
    assert found.level.value == "FAIL" and found.fix == f"chmod 600 {path}"
    path.chmod(0o600)
    assert not list(storage.keyrings(str(tmp_path)))


@pytest.mark.parametrize(
    ("conf", "value"),
    [
        ("[client]\nclient reconnect stale = true\n", "true"),
        ("[global]\nclient_reconnect_stale=True ; why\n", "true"),
        ("[client.gw1]\nclient-reconnect-stale = false\n[client]\nclient_reconnect_stale = true\n", "false"),
        ("[mds]\nclient_reconnect_stale = true\n", ""),
    ],
)
def test_an_option_in_ceph_conf(conf: str, value: str) -> None:
    assert ceph.setting(conf, "client_reconnect_stale", "gw1") == value


@pytest.mark.parametrize(
    ("words", "entity"),
    [("-n client.gw1 /m", "gw1"), ("--id=gw2 /m", "gw2"), ("--name client.gw3 /m", "gw3"), ("/m", "admin")],
)
def test_the_key_of_a_ceph_fuse(words: str, entity: str) -> None:
    assert ceph.entity_in(["ceph-fuse", *words.split()]) == entity


def record(name: str, entity: str, host_key: str) -> HostRecord:
    return HostRecord(
        host=HostName(name),
        address=f"{name}:22",
        written="2026-11-25T00:00:00Z",
        is_drained=False,
        sessions=(),
        audit_seq=0,
        audit_hash="",
        ceph_entity=entity,
        host_key=host_key,
    )


def test_hosts_need_cephx_keys_of_their_own_and_the_same_host_key() -> None:
    own = record("gw1", "gw1", "SHA256:a")
    assert list(hosts.compare(own, (record("gw2", "gw2", "SHA256:a"), record("gw3", "", "")))) == []
    one_key, other_host_key = hosts.compare(own, (record("gw2", "gw1", "SHA256:b"),))
    assert "one cephx key, client.gw1" in one_key.state
    assert "host keys of gw1 and gw2 differ" in other_host_key.state
