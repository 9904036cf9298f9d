"""What Ceph 16.2.15 prints, as it was printed, and what is no client of its."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.cluster import ceph
from gateway.errors import Misconfigured

CLIENTS = """
[{"id":4158,"entity":{"name":{"type":"client","num":4158},"addr":{"type":"any","addr":"10.77.0.11:0","nonce":1387663906}},\
"state":"open","num_caps":1,"uptime":65.2,"inst":"client.4158 10.77.0.11:0/1387663906","completed_requests":[],\
"client_metadata":{"entity_id":"gw1","hostname":"vm","mount_point":"/mnt/ceph","root":"/"}}]
2026-11-27T08:12:45.749+0000 7efe3b7fe6c0  0 client.4150 ms_handle_reset on v2:10.77.0.1:6808/2831533483
"""
BLOCKLIST = """
[{"addr":"10.77.0.11:0/1387663906","until":"2026-11-27T08:14:11.069015+0000"}][]listed 1 entries
"""


def test_the_clients_and_the_blocklist_are_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {"fs": '[{"name":"encfs","data_pools":["data"]}]', "tell": CLIENTS, "osd": BLOCKLIST}
    asked: list[tuple[str, ...]] = []

    def ask(*words: str) -> object:
        asked.append(words)
        return ceph._printed(said[words[0]])

    monkeypatch.setattr(ceph, "_ask", ask)
    done = ceph.evict("client4158")
    assert done.client is not None
    assert (done.client.entity, done.client.address) == ("gw1", "10.77.0.11:0/1387663906")
    assert done.blocked == ("10.77.0.11:0/1387663906 until 2026-11-27T08:14:11.069015+0000",)
    assert ("tell", "mds.encfs:0", "client", "evict", "id=4158") in asked
    asked.clear()
    assert ceph.evict("client9") == ceph.Eviction(client=None, blocked=())
    assert not [words for words in asked if "evict" in words], "one that is not there is not evicted"


@pytest.mark.parametrize("name", ["", "gw1", "client", "client4158 id=1", "client*", "client-1"])
def test_what_is_no_client_is_not_evicted(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ceph, "_ask", lambda *words: pytest.fail(f"{words} was asked"))
    with pytest.raises(Misconfigured, match="is no client"):
        ceph.evict(name)


@pytest.mark.parametrize(
    "values", [{}, {"id": "x", "inst": "a b"}, {"id": 1, "inst": ""}, {"id": 1, "client_metadata": 7}]
)
def test_what_nobody_understands_is_an_error_of_one_line(values: dict[str, object]) -> None:
    with pytest.raises(Misconfigured, match="nobody understands"):
        ceph._client("encfs", values)


@pytest.mark.parametrize("output", ["", "error", "[", "{not json"])
def test_what_is_no_json_is_nothing(output: str) -> None:
    assert ceph._printed(output) == ""


def test_a_directory_that_is_not_ceph_s_has_no_client(tmp_path: Path) -> None:
    assert ceph.client_name(str(tmp_path)) == ""
    assert ceph.client_name(str(tmp_path / "none")) == ""
