"""gateway.toml as `setup --cluster` changes it: the keys that it sets, and nothing else."""

from __future__ import annotations

import pytest

from gateway.config import editing, loader, reference
from gateway.errors import Misconfigured
from gateway.install.shared import Joining

JOINING = Joining(directory="/mnt/ceph/enc", host="gw1", address="gw1.example:22")
MINE = """\
# mine
[idle]
view = 60 # short

[paths] # here
audit = "/log/audit.jsonl"
# a remark
[run]
network = "nat"
"""


@pytest.mark.parametrize("text", ["", MINE, MINE.rstrip("\n"), reference.template(), 'paths.vaults = "/v"\n'])
def test_the_keys_are_set_and_all_else_stays(text: str) -> None:
    changed = JOINING.configure(text, "gateway.toml")
    found, before = loader.parse(changed), loader.parse(text)
    assert (found.cluster_directory, found.cluster_host) == ("/mnt/ceph/enc/cluster", "gw1")
    assert (found.paths_vaults, found.paths_pause) == ("/mnt/ceph/enc/vaults", "/mnt/ceph/enc/cluster/paused")
    assert found.paths_authorized_keys == "/run/enc-cluster/authorized_keys"
    assert (found.paths_audit, found.idle_view, found.run_network) == (
        *(before.paths_audit, before.idle_view, before.run_network),
    )
    kept = [line for line in text.splitlines() if line and "vaults" not in line and not line.startswith("#")]
    assert [line for line in changed.splitlines() if line in kept] == kept
    assert JOINING.configure(changed, "gateway.toml") == changed, "a second time changes nothing"


def test_a_value_that_was_there_is_replaced_in_its_line() -> None:
    changed = editing.with_values('[paths]\nvaults = "/a"\n# end\n', {"paths.vaults": "/b"}, "x")
    assert changed == '[paths]\nvaults = "/b"\n# end\n'


def test_what_was_no_configuration_is_not_changed() -> None:
    with pytest.raises(Misconfigured, match=r"^x, line 2"):
        editing.with_values("[idle]\nview = = 1\n", {"paths.vaults": "/b"}, "x")
    with pytest.raises(Misconfigured, match=r"^x, line \d+: cluster.host must be a name"):
        Joining(directory="/d", host="GW", address="gw:1").configure("", "x")
