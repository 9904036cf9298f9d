"""`enc-gateway setup --cluster` on two machines that share a directory: what it makes, that it works, and that the
removal of one host takes nothing from the other.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import PASSPHRASE, Result, bindir, eventually, need_root
from tests.machine import Host, Machine, machine

UNIT = "/etc/systemd/system/enc-follow.service"


@pytest.fixture(scope="module")
def shared() -> Iterator[Path]:
    """A directory that all machines of this one see: they have its /dev."""
    need_root()
    with tempfile.TemporaryDirectory(prefix="enc-test-", dir="/dev/shm") as name:
        path = Path(name) / "store"
        path.mkdir(mode=0o755)
        path.parent.chmod(0o755)
        yield path


@pytest.fixture(scope="module")
def hosts(shared: Path) -> Iterator[tuple[Host, Host]]:
    with machine() as one, machine() as two:
        one.ok("useradd", "--system", "other")  # so that the next account has another uid than on the second
        for made in (one, two):
            made.ok("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "dev@test", "-f", "/root/dev")
            made.ok("/usr/sbin/sshd", "-E", "/tmp/sshd.log")
        yield Host(one), Host(two)


def gateway(on: Machine, *words: str) -> Result:
    return on.run(str(bindir() / "enc-gateway"), *words)


def join(on: Machine, shared: Path, name: str, *more: str) -> Result:
    return gateway(on, "setup", "--cluster", str(shared), "--host", name, "--address", f"{name}.example:22", *more)


def test_what_cannot_be_a_host_is_refused_and_nothing_changes(hosts: tuple[Host, Host], shared: Path) -> None:
    on = hosts[0].machine
    before = hosts[0].state()
    for result, said in (
        (gateway(on, "setup", "--cluster", str(shared)), "--cluster, --host and --address go together"),
        (gateway(on, "setup", "--host", "gw1"), "--cluster, --host and --address go together"),
        (join(on, Path("relative"), "gw1"), "--cluster takes an absolute path"),
        (join(on, shared, "GW 1"), "cluster.host must be a name"),
        (join(on, shared / "none", "gw1"), "mount the shared file system there first"),
        (join(on, Path("/tmp"), "gw1"), "must belong to root"),
        (join(on, shared, "gw1", "--remove"), "--remove takes no --cluster"),
    ):
        assert result.status in (64, 75) and said in result.err and len(result.err.splitlines()) == 1, result
    shared.parent.chmod(0o777)
    refused = join(on, shared, "gw1")
    shared.parent.chmod(0o755)
    assert refused.status == 75 and f"{shared.parent} is writable by others" in refused.err, refused
    on.ok("mkdir", "-p", "/var/lib/enc/vaults/u-dev1")
    assert "this host has projects in /var/lib/enc/vaults" in join(on, shared, "gw1").err
    on.ok("rm", "-r", "/var/lib/enc")
    assert hosts[0].state() == before and not list(shared.iterdir())
    preview = join(on, shared, "gw1", "--dry-run")
    assert preview.status == 0 and f"+ {shared}/cluster/hosts/ 0755 root" in preview.out, preview
    again = f"enc-gateway setup --cluster {shared} --host gw1 --address gw1.example:22"
    assert f"Next: {again}\n" in preview.out and f"`{again} --dry-run --verbose`" in preview.out, preview
    assert hosts[0].state() == before and not list(shared.iterdir())


def test_two_hosts_share_accounts_keys_and_projects(hosts: tuple[Host, Host], shared: Path) -> None:
    one, two = (host.machine for host in hosts)
    for on, name in ((one, "gw1"), (two, "gw2")):
        if on is two:
            two.ok("groupadd", "--gid", one.ok("id", "-g", "enc").strip(), "taken")
            refused = join(two, shared, name)
            assert refused.status == 75 and "here the group taken has that" in refused.err, refused
            two.ok("groupdel", "taken")
        result = join(on, shared, name)
        assert result.status == 0 and "This host is a gateway: " in result.out, result
        for again in (join(on, shared, name), gateway(on, "setup")):
            assert (again.status, again.out) == (0, "nothing to change\n"), again
    assert one.ok("id", "enc") == two.ok("id", "enc"), "what is shared has the same owner everywhere"
    settings = one.read("/etc/enc/gateway.toml")
    assert f'directory = "{shared}/cluster"\n' in settings and "#view = 600" in settings, "the rest is as it was"
    assert "AuthorizedKeysFile /run/enc-cluster/authorized_keys" in one.read("/etc/ssh/sshd_config.d/50-enc.conf")
    assert one.ok("sh", "-c", f"systemd-analyze verify {UNIT} 2>&1") == ""
    assert "d /run/enc-cluster 0755 root root -" in one.read("/etc/tmpfiles.d/enc.conf")
    program = str(bindir() / "enc-gateway")
    following = [on.hold(program, "host", "follow") for on in (one, two)]
    try:
        eventually(lambda: all("gw1" in gateway(on, "host", "list").out for on in (one, two)))
        key = one.read("/root/dev.pub")
        for name in ("/root/dev", "/root/dev.pub"):
            two.write(name, one.read(name))
        one.write("/root/line", key)
        assert gateway(one, "key", "add", "/root/line", "--principal", "dev1").status == 0
        assert hosts[0].dev("new", "p", stdin=PASSPHRASE + "\n").status == 0
        blob = key.split()[1]
        eventually(lambda: blob in two.read("/run/enc-cluster/authorized_keys"))
        assert '"p"' in hosts[1].dev("ls", "--json").out, "the other host has the same projects"
        listed = gateway(two, "host", "list").out
        assert "gw1              gw1.example:22  up" in listed and "gw2 (this host)" in listed
        eventually(lambda: (shared / "cluster/audit/gw2.jsonl").stat().st_size)
    finally:
        for held in following:
            held.process.terminate()
            held.end()


def test_a_host_whose_account_has_another_uid_is_told_how_to_change_it(hosts: tuple[Host, Host], shared: Path) -> None:
    two = hosts[1].machine
    uid = two.ok("id", "-u", "enc").strip()
    two.ok("usermod", "-u", "12345", "enc")
    refused = gateway(two, "setup")
    assert refused.status == 75 and f"usermod -u {uid} enc" in refused.err, refused
    two.ok("usermod", "-u", uid, "enc")


def test_setup_without_the_store_makes_no_second_cluster(hosts: tuple[Host, Host], shared: Path) -> None:
    """As after a boot at which it was not mounted: what setup made there would hide below the mount."""
    one = hosts[0].machine
    before, away = hosts[0].state(), shared.with_name("away")
    shared.rename(away)
    try:
        for is_there in (False, True):  # the directory of --cluster may be the mount point itself
            if is_there:
                shared.mkdir(mode=0o755)
            for result in (gateway(one, "setup"), gateway(one, "setup", "--dry-run"), join(one, shared, "gw1")):
                assert result.status == 75 and len(result.err.splitlines()) == 1 and not result.out, result
                assert f"the shared file system is not mounted: there is no {shared}/cluster;" in result.err
            assert hosts[0].state() == before and not list(shared.parent.glob("store/*"))
        said = gateway(one, "doctor")
        assert said.status == 2 and not said.err, said
        for name in ("cluster", "vaults"):
            missing = (
                f"FAIL  shared disk: {shared}/{name} is missing: the shared file system is not mounted  (mount it)"
            )
            assert missing in said.out, said
        assert f"{shared}/vaults is missing  (mount the shared file system)" in said.out, said
        shared.rmdir()
    finally:
        away.rename(shared)
    said = gateway(one, "doctor")
    for name in ("cluster", "vaults"):
        assert f"FAIL  shared disk: {shared}/{name} is on tmpfs, a disk of this host alone" in said.out, said


def test_a_host_that_leaves_takes_nothing_from_the_other(hosts: tuple[Host, Host], shared: Path) -> None:
    one, two = (host.machine for host in hosts)
    before = {path for path in shared.rglob("*") if "cipher" not in path.parts}
    assert shared / "cluster/hosts/gw2.json" in before
    removed = gateway(two, "setup", "--remove")
    assert removed.status == 0 and f"Projects stay in {shared}/vaults;" in removed.out, removed
    after = {path for path in shared.rglob("*") if "cipher" not in path.parts}
    assert before - after == {shared / "cluster/hosts/gw2.json"} and not after - before
    for path in (UNIT, "/run/enc-cluster", "/etc/ssh/sshd_config.d/50-enc.conf", "/etc/enc"):
        assert not two.exists(path), path
    assert (again := gateway(one, "setup")).out == "nothing to change\n", again


def test_a_host_takes_no_name_that_another_has_or_had(hosts: tuple[Host, Host], shared: Path) -> None:
    """The other hosts have noted how the log of the earlier one went on: a new log would look like a forged one."""
    two = hosts[1].machine
    before = hosts[1].state()
    for more in ((), ("--dry-run",)):
        result = join(two, shared, "gw1", *more)
        assert result.status == 75 and "the cluster has a host gw1 already" in result.err, result
        assert f"rm {shared}/cluster/hosts/gw1.json" in result.err and len(result.err.splitlines()) == 1
        result = join(two, shared, "gw2", *more)
        assert result.status == 75 and f"{shared}/cluster/audit/gw2.jsonl is of an earlier host gw2" in result.err
    assert hosts[1].state() == before
    assert (other := join(two, shared, "gw3", "--dry-run")).status == 0, other
    two.ok("mkdir", "-p", "/var/log/enc")
    two.write("/var/log/enc/audit.jsonl", '{"seq": 1}\n')
    assert "does not continue it" in join(two, shared, "gw2").err
    two.ok("sh", "-ec", "mv /var/lib/enc/kept/*/audit.jsonl* /var/log/enc/")
    assert (back := join(two, shared, "gw2")).status == 0, back
    assert (verified := gateway(two, "audit", "verify")).status == 0, verified
