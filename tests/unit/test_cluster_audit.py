"""The audit of a cluster: each host's log has a copy, the hosts note each other's heads, and what was cut or changed on
one of them shows.
"""

from __future__ import annotations

import json
import os
import time
from hashlib import sha256
from pathlib import Path

import pytest

from gateway.audit import peers, query, verification
from gateway.audit.archives import archives
from gateway.audit.following import follow
from gateway.audit.log import FIRST_PREV, AuditLog
from gateway.audit.query import Filter
from gateway.audit.rotation import rotate
from gateway.audit.verification import Head
from gateway.base import locks
from gateway.base.clock import boottime, utc_now
from gateway.cluster import audit_copy, audit_logs, mirror
from gateway.cluster.host_record import HostRecord, Seen
from gateway.cluster.peer_heads import SECONDS, WITNESSES, PeerHeads
from gateway.config import loader
from gateway.errors import Misconfigured, Usage
from gateway.identity.names import HostName


class Host:
    """A host of a cluster whose directory is that of `shared`, with its log in a directory of its own."""

    def __init__(self, shared: Path, name: str, keep: int = 0) -> None:
        own = shared / name
        own.mkdir(parents=True)
        (shared / "vaults").mkdir(exist_ok=True)
        (shared / "cluster").mkdir(exist_ok=True)
        self.config = loader.parse(
            f'[paths]\naudit = "{own}/audit.jsonl"\nvaults = "{shared}/vaults"\n'
            f'authorized_keys = "{own}/copy/authorized_keys"\n[audit]\nsyslog = ""\nkeep = {keep}\n'
            f'[cluster]\ndirectory = "{shared}/cluster"\nhost = "{name}"\naddress = "{name}.example:22"\n',
            "gateway.toml",
        )
        self.name = name
        self.log = AuditLog(self.config.paths_audit)
        self.path = Path(self.config.paths_audit)
        self.copy = shared / "cluster" / "audit" / f"{name}.jsonl"
        self.head = Head(number=0, hash="")

    def write(self, records: int = 1, copied: bool = True) -> None:
        for number in range(records):
            self.log.write("request", principal=self.name, number=number)
        if copied:
            self.follow()

    def follow(self) -> None:
        """What its follower does each second."""
        head = audit_copy.append(self.config)
        assert head
        self.head = head

    def seen(self, seconds_ago: float = 0.0) -> Seen:
        record = HostRecord(
            host=HostName.of(self.name),
            address=self.config.cluster_address,
            written=utc_now(),
            is_drained=False,
            sessions=(),
            audit_seq=self.head.number,
            audit_hash=self.head.hash,
        )
        return Seen(record=record, changed=boottime() - seconds_ago)

    def note(self, *others: Host) -> None:
        """What it does once a minute."""
        PeerHeads(self.config).note([one.seen() for one in others])
        self.follow()

    def findings(self, quick: bool = False) -> list[str]:
        found = peers.findings(audit_logs.verify(self.config, quick))
        return [f"{one.place()}: {one.problem}" for one in found]


@pytest.fixture
def hosts(tmp_path: Path) -> tuple[Host, Host, Host]:
    """Three that have noted each other's heads twice: after 5 records of each, and after 10."""
    made = Host(tmp_path, "gw1"), Host(tmp_path, "gw2"), Host(tmp_path, "gw3")
    for _ in range(2):
        for one in made:
            one.write(5)
        for one in made:
            one.note(*made)
    return made


@pytest.fixture
def late(monkeypatch: pytest.MonkeyPatch) -> None:
    """No record is recent."""
    for name in ("LAG", "HEAD_LAG"):
        monkeypatch.setattr(peers, name, -1.0)


def lines_of(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def cut(path: Path, kept: int, with_head: bool = False) -> None:
    """Keep so many lines of a log, or of its copy; with its head file, as if there had never been more."""
    lines = lines_of(path)[:kept]
    path.write_bytes(b"".join(lines))
    if with_head:
        Path(f"{path}.head").write_bytes(b"%020d %s\n" % (kept, sha256(lines[-1][:-1]).hexdigest().encode()))


def rewrite(host: Host, at: int) -> None:
    """Change the record `at` in log and copy, and make the chain right again, as root on that host can."""
    made: list[bytes] = []
    for line in lines_of(host.path):
        record = json.loads(line)
        if record["seq"] == at:
            record["principal"] = "somebody"
        record["prev"] = sha256(made[-1][:-1]).hexdigest() if made else FIRST_PREV
        made.append(json.dumps(record, separators=(",", ":")).encode() + b"\n")
    host.path.write_bytes(b"".join(made))
    host.copy.write_bytes(host.path.read_bytes())
    cut(host.path, len(made), with_head=True)


# The copy


def test_the_copy_is_the_log_and_roots_alone(hosts: tuple[Host, Host, Host]) -> None:
    for one in hosts:
        assert one.copy.read_bytes() == one.path.read_bytes()
        assert one.copy.stat().st_mode & 0o777 == 0o600 and one.copy.stat().st_uid == os.geteuid()
        assert one.copy.parent.stat().st_mode & 0o777 == 0o700


def test_a_call_copies_no_more_than_its_most_and_whole_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_copy, "MOST", 1000)
    host = Host(tmp_path, "gw1")
    host.write(40, copied=False)
    sizes = [0]
    while sizes[-1] < host.path.stat().st_size:
        host.follow()
        sizes.append(host.copy.stat().st_size)
        assert 0 < sizes[-1] - sizes[-2] <= 1000 and host.copy.read_bytes().endswith(b"\n")
    assert host.copy.read_bytes() == host.path.read_bytes()


def test_a_long_log_goes_on_where_its_copy_ends(tmp_path: Path) -> None:
    host = Host(tmp_path, "gw1")
    host.log = AuditLog(str(host.path), filler="x" * 900)
    host.write(400)  # more than is read line by line
    for records in (1, 3, 150):
        host.write(records)
        assert host.copy.read_bytes() == host.path.read_bytes()


def test_the_place_after_each_record_is_found(tmp_path: Path) -> None:
    host = Host(tmp_path, "gw1")
    host.log = AuditLog(str(host.path), filler="x" * 900)
    host.write(300, copied=False)
    lines, places = lines_of(host.path), [0]
    for line in lines:
        places.append(places[-1] + len(line))
    with host.path.open("rb") as file:
        found = [audit_copy._after(file.fileno(), places[-1], number) for number in range(len(lines) + 5)]
    assert found == [*places, *places[-1:] * 4]


def test_a_line_that_is_not_written_to_its_end_is_left_for_later(tmp_path: Path) -> None:
    host = Host(tmp_path, "gw1")
    host.write(3)
    whole = host.path.read_bytes()
    with host.path.open("ab") as file:
        file.write(b'{"seq":4,"ti')
    host.follow()
    assert host.copy.read_bytes() == whole
    host.write(2)  # the torn line gets its end
    assert host.copy.read_bytes() == host.path.read_bytes()


@pytest.mark.parametrize("lost", [1, 30, 200, 2000])
def test_a_copy_that_was_torn_or_cut_gets_what_is_missing(tmp_path: Path, lost: int) -> None:
    host = Host(tmp_path, "gw1")
    host.write(20)
    for _ in range(2):
        os.truncate(host.copy, max(0, host.copy.stat().st_size - lost))
        host.write(1)
        assert host.copy.read_bytes() == host.path.read_bytes()


def test_a_copy_that_is_gone_is_made_again(tmp_path: Path) -> None:
    host = Host(tmp_path, "gw1")
    host.write(5)
    host.copy.unlink()
    host.follow()
    assert host.copy.read_bytes() == host.path.read_bytes()


def test_what_the_copy_has_is_never_changed(tmp_path: Path) -> None:
    host = Host(tmp_path, "gw1")
    host.write(5)
    before = host.copy.read_bytes()
    os.truncate(host.copy, len(before) - 10)
    with host.copy.open("ab") as file:
        file.write(b"something el")
    damaged = host.copy.read_bytes()
    host.write(3)
    assert host.copy.read_bytes().startswith(damaged + b"\n") and host.copy.read_bytes() != host.path.read_bytes()
    assert host.copy.read_bytes().endswith(lines_of(host.path)[-1])
    assert any("differ" in one for one in host.findings())


def test_the_copy_is_closed_where_the_log_was(tmp_path: Path) -> None:
    host = Host(tmp_path, "gw1")
    host.write(5)
    rotate(host.log, keep=0)
    host.write(5, copied=False)
    rotate(host.log, keep=0)
    host.write(5, copied=False)
    for _ in range(2):
        host.follow()
    logs, copies = ([*archives(str(path)), str(path)] for path in (host.path, host.copy))
    assert len(logs) == len(copies) == 3
    for log, copy in zip(logs, copies, strict=True):
        assert Path(log).read_bytes() == Path(copy).read_bytes()
        assert log.rpartition(".jsonl")[2] == copy.rpartition(".jsonl")[2]
    assert host.findings() == []
    rotate(host.log, keep=0)  # nothing new but that it was closed
    os.link(host.copy, f"{host.copy}{archives(str(host.path))[-1].removeprefix(str(host.path))}")  # and killed there
    assert host.findings() == []
    host.follow()
    assert len(archives(str(host.copy))) == 3 and host.copy.read_bytes() == host.path.read_bytes()


def test_closed_copies_are_deleted_by_the_same_policy(tmp_path: Path, late: None) -> None:
    first, second = Host(tmp_path, "gw1", keep=1), Host(tmp_path, "gw2")
    first.write(3)
    second.write(1)
    second.note(first)
    for _ in range(4):
        rotate(first.log, keep=1)
        first.write(3)
    assert len(archives(str(first.copy))) == 1
    assert first.findings() == second.findings() == []
    for _ in range(3):  # they are deleted before they are copied
        rotate(first.log, keep=1)
        first.write(3, copied=False)
    first.follow()
    assert first.findings() == second.findings() == []


def test_files_that_only_have_the_name_of_closed_logs_close_and_delete_nothing(tmp_path: Path) -> None:
    host = Host(tmp_path, "gw1", keep=2)
    for _ in range(3):
        host.write(3)
        rotate(host.log, keep=2)
        host.follow()
    before = {path: Path(path).read_bytes() for path in archives(str(host.copy))}
    last = lines_of(host.path)[-1]
    for number, content in enumerate((b"", b"x\n", b"", last, last + b"x\n")):
        Path(f"{host.path}.{999990 + number:012d}").write_bytes(content)
    for _ in range(3):
        host.write(2)
    assert {path: Path(path).read_bytes() for path in archives(str(host.copy))} == before
    assert len(before) == 2
    assert host.copy.read_bytes() == host.path.read_bytes()


def test_a_call_looks_at_a_few_files_that_are_no_closed_logs_and_says_what_it_does_not_copy(tmp_path: Path) -> None:
    host = Host(tmp_path, "gw1")
    host.write(3)
    host.follow()
    for number in range(audit_copy._MOST_LOOKS + 1):
        Path(f"{host.path}.{999000 + number:012d}").touch()
    with pytest.raises(Misconfigured, match="only have the name of a closed log"):
        host.write(1)
    Path(f"{host.path}.{999000:012d}").unlink()
    host.follow()
    assert host.copy.read_bytes() == host.path.read_bytes()


def test_one_call_closes_a_few_logs(tmp_path: Path) -> None:
    host = Host(tmp_path, "gw1")
    host.write(1)
    for number in range(2, 300):
        Path(f"{host.path}.{number:012d}").write_bytes(b'{"seq":%d}\n' % number)
    host.follow()
    assert len(archives(str(host.copy))) <= audit_copy.MOST >> 16


def test_a_log_that_was_torn_before_it_was_closed_is_copied_to_its_end(tmp_path: Path) -> None:
    host = Host(tmp_path, "gw1")
    host.write(3)
    with host.path.open("ab") as file:
        file.write(b'{"seq":4,"torn')
    rotate(host.log, keep=0)
    host.write(3)
    host.follow()
    logs, copies = ([*archives(str(path)), str(path)] for path in (host.path, host.copy))
    assert [Path(one).read_bytes() for one in logs] == [Path(one).read_bytes() for one in copies]
    assert not any("copy" in one for one in host.findings())


def test_records_with_numbers_of_no_log_are_copied_once(tmp_path: Path) -> None:
    """The copy goes on behind its last record: a number below the first would have all copied again, without end."""
    host = Host(tmp_path, "gw1")
    host.write(3)
    with host.path.open("ab") as file:
        file.write(b'{"seq":-5}\n{"seq":9%s}\n' % (b"0" * 20))
    for _ in range(3):
        host.follow()
    assert host.copy.read_bytes() == host.path.read_bytes() and host.head.number == 3


def test_a_long_line_is_said_and_stops_the_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_copy, "MOST", 1000)
    host = Host(tmp_path, "gw1")
    host.write(1)
    with host.path.open("ab") as file:
        file.write(b"x" * 3000)
    with pytest.raises(Misconfigured, match="line of"):
        host.follow()


def test_two_followers_do_not_write_twice(tmp_path: Path) -> None:
    host = Host(tmp_path, "gw1")
    host.write(2)
    fd = os.open(host.copy, os.O_RDWR)
    try:
        assert locks.try_acquire(fd)
        assert audit_copy.append(host.config) is None
    finally:
        os.close(fd)


# Heads


def test_each_host_notes_the_newest_record_of_the_others(hosts: tuple[Host, Host, Host]) -> None:
    first, second, third = hosts
    noted = [json.loads(line) for line in lines_of(first.path) if peers.is_head(line)]
    assert [(one["peer"], one["peer_seq"]) for one in noted] == [("gw2", 5), ("gw3", 5), ("gw2", 12), ("gw3", 12)]
    assert noted[0]["peer_hash"] == sha256(lines_of(second.path)[4][:-1]).hexdigest()
    assert third.findings() == []


def test_heads_are_noted_once_a_minute_and_only_when_they_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = Host(tmp_path, "gw1"), Host(tmp_path, "gw2")
    second.write()
    heads = PeerHeads(first.config)
    for _ in range(2):
        heads.note([second.seen()])
        second.write()
    assert len(lines_of(first.path)) == 1
    now = boottime()
    for minute, records in ((1, 2), (2, 2), (3, 2)):  # it moved since the first, and then no more
        monkeypatch.setattr("gateway.cluster.peer_heads.boottime", lambda at=minute: now + at * SECONDS)
        heads.note([second.seen()])
        assert len(lines_of(first.path)) == records


def test_hosts_that_only_note_each_other_come_to_rest(hosts: tuple[Host, Host, Host]) -> None:
    before = [one.head for one in hosts]
    heads = [PeerHeads(one.config) for one in hosts]
    for _ in range(3):
        for one, noting in zip(hosts, heads, strict=True):
            noting._last = float("-inf")
            noting.note([other.seen() for other in hosts])
            one.follow()
    assert [one.head for one in hosts] == before
    assert [len(lines_of(one.path)) for one in hosts] == [16, 16, 16]


def test_silent_hosts_and_what_is_no_head_are_not_noted_and_a_host_has_so_many_witnesses(tmp_path: Path) -> None:
    made = [Host(tmp_path, f"gw{number:02}") for number in range(WITNESSES + 3)]
    for one in made:
        one.write()
    silent = made[-1].seen(mirror.SILENT_AFTER + 1)
    odd = made[-2].seen()
    odd = odd.replace(record=odd.record.replace(audit_hash="x" * 64))
    PeerHeads(made[0].config).note([silent, odd, *(one.seen() for one in made[:-2])])
    noted = [json.loads(line)["peer"] for line in lines_of(made[0].path)[1:]]
    assert noted == [f"gw{number:02}" for number in range(1, WITNESSES + 1)]
    PeerHeads(made[4].config).note([one.seen() for one in made])
    noted = [json.loads(line)["peer"] for line in lines_of(made[4].path)[1:]]
    assert noted == ["gw07", "gw08", "gw09", "gw10", "gw00", "gw01", "gw02", "gw03"]


# Reading


def test_the_logs_are_read_as_one_by_time_each_with_its_host(hosts: tuple[Host, Host, Host]) -> None:
    first, second, third = hosts
    second.write()
    found = list(query.merged(audit_logs.logs(first.config), Filter()))
    assert len(found) == sum(len(lines_of(one.path)) for one in hosts)
    assert [event.time for event in found] == sorted(event.time for event in found)
    assert {event.host for event in found} == {"gw1", "gw2", "gw3"}
    assert found[-1].host == "gw2" and found[-1].fields()["host"] == "gw2"
    assert [log.host for log in audit_logs.logs(first.config, "gw2")] == ["gw2"]
    with pytest.raises(Usage, match="gw9"):
        audit_logs.logs(first.config, "gw9")
    with pytest.raises(Usage, match="no cluster"):
        audit_logs.logs(third.config.replace(cluster_directory=""), "gw1")


def test_they_are_followed_as_one(hosts: tuple[Host, Host, Host]) -> None:
    first, second, third = hosts
    followed = follow(audit_logs.logs(first.config), Filter())
    while next(followed):
        pass
    second.write()
    rotate(second.log, keep=0)
    second.write(copied=False)
    for one in (third, first):
        time.sleep(0.005)  # times have milliseconds
        one.write()
    second.follow()
    found = [next(followed) for _ in range(5)]
    assert [(one.host, one.event) for one in found if one] == [
        ("gw2", "request"),
        ("gw2", "rotated"),
        ("gw2", "request"),
        ("gw3", "request"),
        ("gw1", "request"),
    ]


def test_a_host_that_is_alone_has_one_log_without_a_name(hosts: tuple[Host, Host, Host]) -> None:
    config = hosts[0].config.replace(cluster_directory="", cluster_host="", cluster_address="")
    (log,) = audit_logs.logs(config)
    assert (log.host, log.is_copy) == ("", False)
    assert all("host" not in event.fields() for event in query.merged((log,), Filter()))
    (checked,) = audit_logs.verify(config)
    assert checked.host == "" and checked.report == verification.verify(log.path)


# What a verification finds. The records 5 and 12 of each host are noted by both others.


def test_untouched_logs_are_sound_for_each(hosts: tuple[Host, Host, Host], late: None) -> None:
    for one in hosts:
        assert one.findings() == one.findings(quick=True) == []


@pytest.mark.parametrize("peer", ["gw9\x1b]0;x\x07", "gw9\ngw2: no findings", "", "GW 9"])
def test_what_is_no_host_in_the_log_of_one_is_none_for_the_others(
    hosts: tuple[Host, Host, Host], late: None, peer: str
) -> None:
    """The account can write its log, and so what another host's sysadmin would see at a terminal."""
    hosts[0].log.write(peers.EVENT, peer=peer, peer_seq=1, peer_hash="0" * 64)
    hosts[0].follow()
    assert hosts[1].findings() == []


def test_a_log_that_is_cut_differs_from_its_copy_and_from_what_was_noted(hosts: tuple[Host, Host, Host]) -> None:
    first = hosts[0]
    cut(first.path, 8, with_head=True)
    by_heads, by_copy = first.findings()
    assert by_heads.startswith("line 8 on gw1: the log ends with record 8, but gw2 noted record 12 in its record 14")
    assert by_heads.endswith("its end was cut off, from record 9 on")
    assert by_copy == (
        "the log on gw1: the log ends with record 8, but its copy with 14: the log's end was cut off, from record 9 on"
    )
    assert first.findings(quick=True)


@pytest.mark.parametrize("quick", [False, True])
def test_a_log_cut_together_with_its_copy_shows_at_the_others(
    hosts: tuple[Host, Host, Host], late: None, quick: bool
) -> None:
    first, second, third = hosts
    cut(first.path, 8, with_head=True)
    cut(first.copy, 8)
    for one in (second, third, first):
        (found,) = one.findings(quick)
        assert found.startswith("line 8 on gw1: the log ends with record 8, but gw")
    first.write(20)  # it writes over what was cut
    for one in (second, third, first):
        (found,) = one.findings(quick)
        assert "on gw1: record 12 is not the one that gw" in found
        assert found.endswith("the log was rewritten, from a record between 6 and 12 on")


def test_a_copy_may_be_behind_for_some_seconds(hosts: tuple[Host, Host, Host], monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, _ = hosts
    cut(first.copy, 8)
    assert first.findings() == second.findings() == []
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + peers.HEAD_LAG + 2)
    assert len(second.findings()) == 1 and not first.findings()
    monkeypatch.setattr(time, "time", lambda: now + peers.LAG + 2)
    (found,) = first.findings()
    assert found.startswith("the log on gw1: its copy ends with record 8: it lacks what was written since 20")
    first.follow()
    assert first.findings() == second.findings() == []


def test_a_copy_that_is_being_written_ends_within_a_line(hosts: tuple[Host, Host, Host]) -> None:
    first, second, _ = hosts
    first.write(1, copied=False)
    with first.copy.open("ab") as file:
        file.write(lines_of(first.path)[-1][:20])
    assert first.findings() == second.findings() == []


@pytest.mark.parametrize("at", [1, 5, 9, 12])
def test_a_record_that_is_rewritten_everywhere_on_its_host_shows_at_the_others(
    hosts: tuple[Host, Host, Host], at: int
) -> None:
    first, second, _ = hosts
    rewrite(first, at)
    noted, agreed = (5, 0) if at <= 5 else (12, 5)
    for one in (first, second):
        (found,) = one.findings()
        assert f"line {noted} on gw1: record {noted} is not the one that gw" in found
        assert found.endswith(f"the log was rewritten, from a record between {agreed + 1} and {noted} on")


@pytest.mark.parametrize("in_copy", [False, True])
def test_a_record_that_is_changed_in_one_of_the_two_is_found(hosts: tuple[Host, Host, Host], in_copy: bool) -> None:
    first, second, _ = hosts
    path = first.copy if in_copy else first.path
    path.write_bytes(path.read_bytes().replace(b'"seq":3,', b'"seq":3, '))
    found = first.findings()
    assert "the log on gw1: the log and its copy differ from record 3 on: one of the two was changed" in found
    assert any("line 4 on gw1: does not follow" in one for one in found) != in_copy
    assert any("line 4 on gw1: does not follow" in one for one in second.findings()) == in_copy


def test_a_copy_that_was_removed_is_missed(hosts: tuple[Host, Host, Host], late: None) -> None:
    first, second, _ = hosts
    first.copy.unlink()
    assert second.findings() == ["the log on gw1: there is no copy of its log, and the other hosts know of gw1"]
    (found,) = first.findings()
    assert found == f"the log on gw1: there is no copy of it in {first.copy.parent}"


def test_closed_logs_are_compared_too(hosts: tuple[Host, Host, Host], late: None) -> None:
    first, second, _ = hosts
    rotate(first.log, keep=0)
    first.write(3)
    second.note(first)
    assert first.findings() == second.findings() == []
    (closed,) = archives(str(first.copy))
    text = Path(closed).read_bytes()
    Path(closed).unlink()
    assert first.findings() == ["the log on gw1: its copy begins with record 15: it lacks records 1 to 14"]
    assert second.findings()
    Path(closed).write_bytes(text)
    cut(Path(closed), 13)
    assert any("differ from record 14 on" in one or "differ from record 15 on" in one for one in first.findings())
    Path(closed).write_bytes(text)
    assert first.findings() == second.findings() == []


def test_what_a_stranger_wrote_as_a_head_harms_nobody(hosts: tuple[Host, Host, Host]) -> None:
    first, second, _ = hosts
    for peer, number in ((None, None), ("gw2", "x"), (["gw2"], -1), ("gw1", 1), ("gw2", 10**30)):
        first.log.write(peers.EVENT, peer=peer, peer_seq=number)
    first.follow()
    assert not [one for one in second.findings() if "gw2" in one.partition(":")[0]]


def test_nothing_is_made_below_a_store_that_is_not_mounted(tmp_path: Path) -> None:
    host = Host(tmp_path, "gw1")
    host.write(1, copied=False)
    (tmp_path / "cluster").rmdir()
    with pytest.raises(FileNotFoundError):
        host.follow()
    assert not (tmp_path / "cluster").exists()
