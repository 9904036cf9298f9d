"""The audit of two gateways that share a directory: read and verified as one; what is cut on one shows at the other.

The shared directory is an ordinary one, and the gateways do not know that they are in a cluster: `Pair.follow` copies
their logs, and the commands have a gateway.toml that says so.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.audit import peers
from gateway.audit.verification import Head
from gateway.base.clock import boottime, utc_now
from gateway.cluster import audit_copy
from gateway.cluster.host_record import HostRecord, Seen
from gateway.cluster.peer_heads import PeerHeads
from gateway.config import loader
from gateway.identity.names import HostName
from tests.harness import Gateway, Result, bindir, run

NAMES = ("gw1", "gw2")


@dataclass
class Pair:
    """Two gateways, and the directory that they share."""

    gateways: dict[str, Gateway]
    shared: Path

    def settings(self, name: str) -> Path:
        path = self.gateways[name].root / "cluster.toml"
        section = f'\n[cluster]\ndirectory = "{self.shared}"\nhost = "{name}"\naddress = "{name}.example:22"\n'
        path.write_text((path.parent / "gateway.toml").read_text() + section)
        return path

    def admin(self, name: str, *words: str) -> Result:
        """Run `enc-gateway WORDS` on that host."""
        return run([str(bindir() / "enc-gateway"), *words, "--config", str(self.settings(name))])

    def follow(self) -> None:
        """What the followers of both do in a minute: copy, and note the other's head."""
        configs = [loader.load(str(self.settings(name))) for name in NAMES]
        seen = [self._seen(config.cluster_host, audit_copy.append(config)) for config in configs]
        for config in configs:
            PeerHeads(config).note(seen)
            audit_copy.append(config)

    def _seen(self, host: str, head: Head | None) -> Seen:
        assert head
        record = HostRecord(
            host=HostName.of(host),
            address=f"{host}.example:22",
            written=utc_now(),
            is_drained=False,
            sessions=(),
            audit_seq=head.number,
            audit_hash=head.hash,
        )
        return Seen(record=record, changed=boottime())

    def log(self, name: str) -> Path:
        return Path(str(self.gateways[name].ready["audit"]))

    def copy(self, name: str) -> Path:
        return self.shared / "audit" / f"{name}.jsonl"

    def verify(self, name: str, *words: str) -> tuple[int, list[str]]:
        """Exit code and findings of `audit verify` on that host."""
        done = self.admin(name, "audit", "verify", *words)
        return done.status, [line for line in done.out.splitlines() if "; head " not in line]


@pytest.fixture
def pair(make_gateway: Callable[..., Gateway], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pair:
    """Each has had a refused request, which makes two records."""
    made = {name: make_gateway(**{"audit.keep": "1"}) for name in NAMES}
    pair = Pair(made, tmp_path)
    for name, gateway in made.items():
        person = gateway.person(f"person-{name}", name)
        assert person.ssh("nonsense").status == 127
        (tmp_path / "authorized_keys").write_text(gateway.authorized_keys.read_text())
    with monkeypatch.context() as patch:  # what was noted just now counts only HEAD_LAG later
        earlier = time.time() - peers.HEAD_LAG - 1
        patch.setattr(time, "time", lambda: earlier)
        pair.follow()
    return pair


def test_the_logs_of_all_hosts_are_read_as_one(pair: Pair, tmp_path: Path) -> None:
    shown = pair.admin("gw1", "audit", "show").out.splitlines()
    assert shown[0].split() == ["TIME", "HOST", "PRINCIPAL", "KEY", "FROM", "WHAT"]
    assert [line.split()[1] for line in shown[1:]] == ["gw1"] * 2 + ["gw2"] * 2
    assert not [line for line in shown if "noted" in line]
    everything = pair.admin("gw1", "audit", "show", "--all", "--host", "gw2").out
    assert re.search(r" gw2 .*noted that record 2 is the newest of gw1\n", everything) and " gw1 " not in everything
    records = pair.admin("gw1", "audit", "show", "--json", "--outcome", "refused").json["records"]
    assert isinstance(records, list)
    assert [(one["host"], one["principal"]) for one in records] == [("gw1", "gw1"), ("gw2", "gw2")]
    metrics = pair.admin("gw1", "metrics").out
    for name in NAMES:
        assert f'enc_refusals_total{{reason="unknown-command",host="{name}"}} 1\n' in metrics
        assert f'enc_faults_total{{host="{name}"}} 0\n' in metrics
    page = tmp_path / "report.html"
    said = pair.admin("gw1", "audit", "report", str(page)).out
    assert "the logs were verified: 6 lines unchanged, head gw1 3:" in said
    assert re.search(r"<h1>ENC gateway gw1, gw2</h1>.*>Host</th>.*<td[^>]*>gw2</td>", page.read_text(), re.DOTALL)
    assert pair.admin("gw1", "audit", "show", "--host", "gw9").status == 64
    verified = pair.admin("gw1", "audit", "verify", "--json")
    assert verified.status == 0 and verified.json["findings"] == []
    hosts = verified.json["hosts"]
    assert isinstance(hosts, list) and [(one["host"], one["last"]) for one in hosts] == [("gw1", 3), ("gw2", 3)]
    head = f"{hosts[1]['last']}:{hosts[1]['head']}"
    assert pair.admin("gw1", "audit", "verify", "--host", "gw2", "--after", head).status == 0
    assert pair.admin("gw1", "audit", "verify", "--host", "gw1", "--after", head).status == 1
    assert "6 lines of 2 hosts, no gap in the chain" in pair.admin("gw1", "doctor").out


def test_rotation_and_its_policy_are_no_finding(pair: Pair) -> None:
    for _ in range(3):
        assert pair.admin("gw1", "audit", "rotate").status == 0
        pair.follow()
    assert pair.admin("gw1", "audit", "rotate", "--due").status == 0
    closed = [one.name for one in pair.copy("gw1").parent.glob("gw1.jsonl.????????????")]
    assert len(closed) == 1 and (pair.copy("gw1").parent / f"{closed[0]}.sum").exists()
    for name in NAMES:
        assert pair.verify(name) == pair.verify(name, "--quick") == (0, [])
    assert '{reason="unknown-command",host="gw2"} 1' in pair.admin("gw1", "metrics").out


def cut(path: Path, lines: int) -> None:
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:lines]))


def test_a_log_that_is_cut_shows(pair: Pair) -> None:
    cut(pair.log("gw1"), 1)
    status, found = pair.verify("gw1")
    assert status == 1
    assert any("on gw1: the log ends with record 1, but gw2 noted record 2 in its record 3" in one for one in found)
    assert any("the log ends with record 1, but its copy with 3: the log's end was cut off" in one for one in found)
    assert pair.verify("gw2") == (0, [])  # the copy is whole
    cut(pair.copy("gw1"), 1)  # and now it is not
    assert "line 1 on gw1: the log ends with record 1, but gw2 noted record 2" in pair.verify("gw2")[1][0]
    assert pair.verify("gw2", "--host", "gw2") == (0, [])
    assert "1 finding in 4 lines of 2 hosts, the first at line 1 on gw1" in pair.admin("gw2", "doctor").out


def test_a_record_that_is_changed_and_a_copy_that_is_removed_show(pair: Pair) -> None:
    copy = pair.copy("gw1")
    text = copy.read_bytes()
    copy.write_bytes(text.replace(b'"unknown-command"', b'"authorized"'))
    assert pair.verify("gw2")[1] == [
        "line 2 on gw1: does not follow the line before it: one of the two was changed, removed or inserted"
    ]
    assert "the log on gw1: the log and its copy differ from record 1 on" in pair.verify("gw1")[1][0]
    copy.unlink()
    assert pair.verify("gw2")[1] == ["the log on gw1: there is no copy of its log, and the other hosts know of gw1"]
    pair.follow()
    assert copy.read_bytes().startswith(text)
    assert pair.verify("gw1") == pair.verify("gw2") == (0, [])
    records = [json.loads(line) for line in pair.log("gw1").read_text().splitlines()]
    assert [one["event"] for one in records if one["event"] == peers.EVENT]
    assert copy.stat().st_mode & 0o777 == 0o600 and copy.stat().st_uid == os.geteuid()
