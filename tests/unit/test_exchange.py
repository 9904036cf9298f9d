"""What the hosts of a cluster tell each other, read as from a stranger; and when one is silent."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from gateway.admin import ending, hosts
from gateway.audit.log import AuditLog
from gateway.base import locks
from gateway.base.clock import boottime, utc
from gateway.cluster import ceph, exchange, host_record, mirror, places, remote
from gateway.cluster.exchange import Exchange
from gateway.cluster.host_record import HostRecord, Hosts, Seen
from gateway.config import loader
from gateway.config.schema import Config
from gateway.doctor.cluster import hosts as doctor
from gateway.errors import Elsewhere, Usage
from gateway.identity.names import HostName, Principal, ProjectName, SessionId
from gateway.session import layout, registry
from gateway.session.record import Session, View, load

DEV, PARSER = Principal("dev1"), ProjectName("parser")


@pytest.fixture
def config(tmp_path: Path) -> Config:
    for name in (*places.SHARED, "keys", "run"):
        (tmp_path / name).mkdir()
    return loader.parse("").replace(
        cluster_directory=str(tmp_path),
        cluster_host="gw1",
        cluster_address="gw1:22",
        paths_authorized_keys=f"{tmp_path}/keys/authorized_keys",
        paths_run=f"{tmp_path}/run",
        paths_audit=f"{tmp_path}/audit.jsonl",
    )


def session(number: int = 0) -> Session:
    return Session(
        id=SessionId(f"s-{number:012x}"),
        principal=DEV,
        fingerprint="SHA256:x",
        address="192.0.2.1",
        port=1,
        connection="c",
        anchor="mount",
        since="2026-11-25T00:00:00Z",
        pid=1,
        views=(View(project=PARSER, since="2026-11-25T00:00:00Z"),),
    )


def record(host: str = "gw2", sessions: tuple[Session, ...] = (), written: float = 0.0) -> HostRecord:
    return HostRecord(
        host=HostName(host),
        address=f"{host}:22",
        written=utc(written or time.time()),
        is_drained=False,
        sessions=sessions,
        audit_seq=1,
        audit_hash="x",
    )


def put(config: Config, text: str, name: str = "gw2.json") -> Path:
    path = Path(config.cluster_directory, "hosts", name)
    path.with_suffix(".draft").write_text(text)
    path.with_suffix(".draft").rename(path)
    return path


def test_only_root_and_the_account_read_who_has_what_unlocked(config: Config) -> None:
    Exchange(config).step()
    remote.forget_sessions(config, record("gw2"))
    files = [Path(config.cluster_directory, "hosts", f"{host}.json") for host in ("gw1", "gw2")]
    copied = Path(places.copy(config), places.COPIED_HOSTS)
    assert [oct(path.stat().st_mode & 0o777) for path in (*files, copied)] == ["0o600", "0o600", "0o640"]
    assert copied.stat().st_gid == os.stat(config.paths_run).st_gid


def test_a_host_tells_of_itself_and_copies_what_the_others_say(config: Config) -> None:
    AuditLog(config.paths_audit).write("request")
    put(config, host_record.dumps(record(sessions=(session(),)).replace(audit_seq=7, audit_hash="a" * 64)))
    assert Exchange(config).step() == ()
    own = host_record.load(Path(config.cluster_directory, "hosts", "gw1.json").read_bytes(), "gw1")
    assert (own.address, own.sessions, own.is_drained, own.ceph) == ("gw1:22", (), False, "")
    line, noted = Path(config.paths_audit).read_bytes().splitlines()
    assert (own.audit_seq, own.audit_hash) == (1, sha256(line).hexdigest())
    assert json.loads(noted)["peer_seq"] == 7
    assert Path(config.cluster_directory, "audit", "gw1.jsonl").read_bytes() == line + b"\n"
    assert [seen.record.host for seen in mirror.everyone(config)] == ["gw1", "gw2"]
    (other,) = mirror.hosts(config)
    assert other.record.sessions == (session(),) and not mirror.is_silent(other)
    with pytest.raises(Elsewhere) as caught:
        mirror.require_here(config, DEV, PARSER, PARSER)
    assert (caught.value.host, caught.value.address) == ("gw2", "gw2:22")


def test_a_record_that_has_not_changed_is_written_when_it_is_due(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Exchange(config)
    here.step()
    path = Path(config.cluster_directory, "hosts", "gw1.json")
    first = path.stat().st_ino, path.stat().st_mtime_ns
    here.step()
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == first
    monkeypatch.setattr(exchange, "WRITE_SECONDS", -1.0)
    here.step()
    assert (path.stat().st_ino, path.stat().st_mtime_ns) != first


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("{}", id="no fields"),
        pytest.param(host_record.dumps(record("gw3")), id="another host's"),
        pytest.param(host_record.dumps(record()).replace('"sessions": []', '"sessions": [1]'), id="no session"),
        pytest.param("[" * 100_000, id="deep"),
        pytest.param(" " * (5 << 20), id="too large"),
    ],
)
def test_what_is_no_record_is_named_and_takes_none_of_the_others_away(config: Config, text: str) -> None:
    put(config, text)
    put(config, host_record.dumps(record("gw4")), "gw4.json")
    here = Exchange(config)
    (said,) = here.step()
    assert said.startswith("the record of gw2 is not taken: ") and said.count(text[:20] or "?") == 0
    assert [seen.record.host for seen in mirror.hosts(config)] == ["gw4"]
    put(config, host_record.dumps(record()))
    assert here.step() == ()


def test_a_link_or_a_fifo_is_no_record(config: Config) -> None:
    target = put(config, host_record.dumps(record()), "x.txt")
    os.symlink(target, Path(config.cluster_directory, "hosts", "gw2.json"))
    os.mkfifo(Path(config.cluster_directory, "hosts", "gw3.json"))
    here = Exchange(config)
    assert [one.partition(": ")[2] for one in here.step()] == ["not a regular file"] * 2
    assert mirror.hosts(config) == ()
    for name in ("gw2", "gw3"):
        os.unlink(Path(config.cluster_directory, "hosts", f"{name}.json"))
    assert here.step() == ()


@pytest.fixture
def many(config: Config) -> Iterator[list[Session]]:
    """Sessions that the account has made up: four that live, and one that is dead."""
    made, fds = [session(number) for number in range(5)], list[int]()
    for one in made:
        directory = Path(layout.path(config.paths_run, DEV, one.id))
        directory.mkdir(parents=True)
        (directory / layout.RECORD).write_text(one.dump())
        fds.append(os.open(directory / layout.LOCK, os.O_RDWR | os.O_CREAT))
        locks.hold(fds[-1])
    os.close(fds.pop())
    yield made
    for fd in fds:
        os.close(fd)


def told(config: Config) -> int:
    return len(next(one.record.sessions for one in mirror.everyone(config) if one.record.host == "gw1"))


def test_what_the_account_says_of_sessions_is_read_up_to_a_limit(
    config: Config, many: list[Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Exchange(config)
    assert here.step() == () and told(config) == 4
    monkeypatch.setattr(exchange, "_MOST_OF_SESSIONS", 2 * len(many[0].dump()) + 10)
    (said,) = here.step()
    assert "not all sessions are told" in said and told(config) == 2
    assert here.step() == (said,)
    monkeypatch.undo()
    assert here.step() == () and told(config) == 4


def test_sessions_that_are_dead_or_say_nothing_count_as_well(config: Config, many: list[Session]) -> None:
    for one in many:
        Path(layout.path(config.paths_run, DEV, one.id), layout.RECORD).write_text("")
    assert registry.some(config.paths_run, 5 * registry._LEAST) == ((), True)
    assert registry.some(config.paths_run, 5 * registry._LEAST - 1) == ((), False)


def test_a_host_is_silent_when_its_record_did_not_change_for_long(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, began = Exchange(config), boottime()
    put(config, host_record.dumps(record()))
    here.step()

    def at(seconds: float) -> None:
        for module in (exchange, mirror):
            monkeypatch.setattr(module, "boottime", lambda: began + seconds)

    at(19)
    here.step()
    assert not mirror.is_silent(mirror.hosts(config)[0])
    at(27)
    assert not mirror.is_silent(mirror.hosts(config)[0]), "nobody has looked"
    os.rmdir(config.paths_run)  # so that this host has nothing new to tell either
    here.step()
    assert mirror.is_silent(mirror.hosts(config)[0])
    mirror.require_here(config, DEV, PARSER, PARSER)


def test_a_record_that_is_old_when_it_is_first_seen_is_a_silent_host_s(config: Config) -> None:
    put(config, host_record.dumps(record(written=1.0)))
    Exchange(config).step()
    assert mirror.is_silent(mirror.hosts(config)[0])


def test_no_host_is_silent_because_the_store_did_not_answer_us(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    here, now = Exchange(config), [boottime()]
    put(config, host_record.dumps(record("gw2")))
    put(config, host_record.dumps(record("gw3")), "gw3.json")
    here.step()
    for module in (exchange, mirror):
        monkeypatch.setattr(module, "boottime", lambda: now[0])
    unhindered = Exchange._copy_drained

    def hanging(self: Exchange) -> None:
        now[0] += 34
        unhindered(self)

    monkeypatch.setattr(Exchange, "_copy_drained", hanging)
    here.step()
    assert not any(map(mirror.is_silent, mirror.hosts(config)))
    monkeypatch.setattr(Exchange, "_copy_drained", unhindered)
    put(config, host_record.dumps(record("gw2", (session(),))))
    now[0] += 6
    here.step()
    assert {seen.record.host: mirror.is_silent(seen) for seen in mirror.hosts(config)} == {"gw2": False, "gw3": True}


@pytest.mark.parametrize(("ahead", "word"), [(-2, ""), (3, ""), (900, "ahead"), (-900, "behind")])
def test_a_clock_that_differs_from_ours_is_told(config: Config, ahead: float, word: str) -> None:
    here = Exchange(config)
    put(config, host_record.dumps(record(written=1.0)))
    here.step()
    for _ in range(exchange._MEASUREMENTS):
        assert hosts.others(config)[0].clock_ahead == 0
        put(config, host_record.dumps(record(written=time.time() + ahead)))
        here.step()
    (other,) = hosts.others(config)
    warnings = [one.state for one in doctor.clocks(mirror.hosts(config))]
    if word:
        assert abs(other.clock_ahead - ahead) < 3
        assert other.state == f"up, clock {abs(other.clock_ahead)} s {word}"
        assert len(warnings) == 1 and warnings[0].startswith("the clock of gw2 is ") and warnings[0].endswith(word)
    else:
        assert (other.clock_ahead, other.state, warnings) == (0, "up", [])


def test_of_a_host_that_is_silent_no_clock_is_told(config: Config) -> None:
    put(config, host_record.dumps(record(written=1.0)))
    Exchange(config).step()
    assert mirror.clock_ahead(mirror.hosts(config)[0]) == 0


class Clock:
    """Both clocks of this host. `moved` is by how many seconds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.moved, boot, utc_ = 0.0, boottime(), time.time()
        for module in (exchange, mirror, hosts):
            monkeypatch.setattr(module, "boottime", lambda: boot + self.moved)
        monkeypatch.setattr(time, "time", lambda: utc_ + self.moved)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def follow(config: Config, here: Exchange, clock: Clock, late: float = 0.0, ahead: float = 0.0) -> None:
    """Have gw2, whose clock is `ahead`, write as a host that lives, and the last record `late` seconds before it is
    there to be read.
    """
    for seconds in (0.0, 0.0, 0.0, 0.0, late):
        put(config, host_record.dumps(record(written=time.time() - seconds + ahead)))
        here.step()
        clock.moved += 1.0


def test_a_record_that_its_host_waited_to_write_tells_nothing_of_its_clock(config: Config, clock: Clock) -> None:
    follow(config, Exchange(config), clock, late=30.0)
    assert hosts.others(config)[0].state == "up"


def test_a_record_that_we_waited_to_read_tells_nothing_of_a_clock(config: Config, clock: Clock) -> None:
    here = Exchange(config)
    for _ in range(exchange._MEASUREMENTS + 1):
        put(config, host_record.dumps(record()))
        clock.moved += 20.0
        here.step()
    assert hosts.others(config)[0].state == "up"


@pytest.mark.parametrize("ahead", [0.0, 300.0, -300.0])
def test_a_silence_counts_from_when_the_host_wrote_though_we_could_not_read(
    config: Config, clock: Clock, monkeypatch: pytest.MonkeyPatch, ahead: float
) -> None:
    """The last record of a host that died is read 30 s later, when the store answers again."""
    here = Exchange(config)
    follow(config, here, clock, ahead=ahead)
    put(config, host_record.dumps(record(written=time.time() + ahead)))
    died, unhindered = clock.moved, Exchange._copy_drained

    def hanging(self: Exchange) -> None:
        clock.moved += 30
        unhindered(self)

    monkeypatch.setattr(Exchange, "_copy_drained", hanging)
    here.step()
    assert hosts.others(config)[0].state.startswith("up"), "we heard nothing ourselves"
    monkeypatch.setattr(Exchange, "_copy_drained", unhindered)
    clock.moved += 30
    here.step()
    (other,) = hosts.others(config)
    assert abs(other.silent_for - (clock.moved - died)) <= 2
    assert other.state == f"silent for {other.silent_for} s"


def test_a_host_that_was_excused_is_silent_since_it_wrote(
    config: Config, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Exchange(config)
    follow(config, here, clock)
    wrote = clock.moved - 1.0
    monkeypatch.setattr(exchange, "STALL_SECONDS", -1.0)
    clock.moved += 34
    here.step()
    assert hosts.others(config)[0].silent_for == 0
    monkeypatch.setattr(exchange, "STALL_SECONDS", 3.0)
    clock.moved += 7
    here.step()
    assert abs(hosts.others(config)[0].silent_for - (clock.moved - wrote)) <= 2


def test_a_host_lives_whose_record_was_old_when_we_came_to_read_it(config: Config, clock: Clock) -> None:
    """This host was suspended, and that one waited for the store."""
    here = Exchange(config)
    follow(config, here, clock)
    clock.moved += 40.0
    put(config, host_record.dumps(record(written=time.time() - 30.0)))
    here.step()
    assert hosts.others(config)[0].state == "up"


def test_the_sessions_of_a_host_that_is_silent_for_long_count_as_ended(config: Config, clock: Clock) -> None:
    here = Exchange(config)
    put(config, host_record.dumps(record(sessions=(session(),))))
    here.step()
    clock.moved += mirror.FREE_AFTER - 5
    here.step()
    (other,) = hosts.others(config)
    assert other.silent_for and other.sessions, "Ceph may not have put it out yet"
    clock.moved += 10
    assert hosts.others(config)[0].sessions, "nobody has looked"
    here.step()
    assert hosts.others(config)[0].sessions == ()


def test_a_host_that_was_put_out_stays_so_until_it_writes_again(config: Config, clock: Clock) -> None:
    here = Exchange(config)
    follow(config, here, clock)
    clock.moved += 10.0
    here.step()
    remote.forget_sessions(config, mirror.hosts(config)[0].record)
    here.step()
    (other,) = hosts.others(config)
    assert (other.state, other.fields()["state"]) == ("evicted", "evicted") and 9 <= other.silent_for <= 13
    clock.moved += 100.0
    here.step()
    assert 109 <= hosts.others(config)[0].silent_for <= 113
    newly = Exchange(config)
    newly.step()
    assert hosts.others(config)[0].state == "evicted"
    put(config, host_record.dumps(record()))
    newly.step()
    assert hosts.others(config)[0].state == "up"


def test_a_host_that_never_followed_says_so(config: Config) -> None:
    (own,) = hosts.all_of(config)
    assert (own.state, own.fields()["state"]) == ("never followed", "never-followed") and own.silent_for
    Path(places.copy(config), places.FRESH).touch()
    os.utime(Path(places.copy(config), places.FRESH), ns=(int(boottime() * 1e9),) * 2)
    assert hosts.all_of(config)[0].state == "up"


def test_a_drained_host_has_the_mark_in_its_copy_and_tells_it(config: Config) -> None:
    here = Exchange(config)
    assert not remote.set_drained(config, HostName("gw1"), drained=True)
    here.step()
    assert mirror.is_drained(config)
    assert next(one.record.is_drained for one in mirror.everyone(config))
    assert remote.set_drained(config, HostName("gw1"), drained=False)
    here.step()
    assert not mirror.is_drained(config)
    remote.set_drained(config, HostName("gw2"), drained=True)
    here.step()
    assert not mirror.is_drained(config), "another host"


def test_nobody_is_sent_to_a_host_that_was_put_out(config: Config) -> None:
    here = Exchange(config)
    put(config, host_record.dumps(record(sessions=(session(),))))
    here.step()
    remote.forget_sessions(config, mirror.hosts(config)[0].record)
    here.step()
    assert mirror.hosts(config)[0].record.sessions == ()
    mirror.require_here(config, DEV, PARSER, PARSER)


def test_one_thing_that_fails_stops_no_other(config: Config, tmp_path: Path) -> None:
    put(config, host_record.dumps(record()))
    (tmp_path / "run").rmdir()
    (wrong,) = Exchange(config).step()
    assert "this host's record" in wrong
    assert [seen.record.host for seen in mirror.hosts(config)] == ["gw2"]


def test_a_host_that_left_is_forgotten(config: Config) -> None:
    here, path = Exchange(config), put(config, host_record.dumps(record()))
    here.step()
    path.unlink()
    here.step()
    assert mirror.hosts(config) == ()


def test_more_than_a_reader_takes_is_told_without_the_sessions_of_the_largest(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror, "MAX_BYTES", 4000)
    put(config, host_record.dumps(record("gw2", tuple(map(session, range(20))))))
    put(config, host_record.dumps(record("gw3", (session(99),))), "gw3.json")
    (said,) = Exchange(config).step()
    assert said.startswith("the sessions of gw2 are not copied")
    assert [(one.record.host, len(one.record.sessions)) for one in mirror.hosts(config)] == [("gw2", 0), ("gw3", 1)]


@pytest.mark.parametrize("field", ["fingerprint", "address", "anchor", "since"])
def test_what_a_session_says_of_itself_on_another_host_reaches_no_terminal_as_control_characters(field: str) -> None:
    """The account of that host has written it, and `status` of another one shows it."""
    text = host_record.dumps(record(sessions=(session().replace(**{field: "\x1b[2J"}),)))
    with pytest.raises(ValueError, match="printable"):
        host_record.load(text.encode(), "gw2")
    with pytest.raises(ValueError, match="printable"):
        load(session().replace(**{field: "a\nb"}).dump())


def test_a_session_here_can_be_ended_though_another_host_says_that_it_has_it(config: Config) -> None:
    others = (hosts._other(Seen(record=record("gw2", (session(1), session(2))), changed=boottime())),)
    assert ending._named(session(1).id, (session(1),), others, config) == session(1).id
    with pytest.raises(Usage, match="names 2 sessions"):
        ending._named("s-0000", (session(1),), others, config)
    with pytest.raises(Elsewhere):
        ending._named(session(2).id, (session(1),), others, config)


def test_a_client_that_two_hosts_say_they_are_is_not_put_out(config: Config) -> None:
    """A host that was taken over could have another one put out in its place."""
    boot = boottime()
    told = {"gw1": "client1", "gw2": "client2", "gw3": "client2", "gw4": "client1", "gw5": "", "gw6": "client6"}
    seen = tuple(Seen(record=record(name).replace(ceph=ceph), changed=boot) for name, ceph in told.items())
    Path(places.copy(config), places.COPIED_HOSTS).write_text(host_record.dumps(Hosts(hosts=seen)))
    for name, said in {"gw2": "so does gw3", "gw4": "so does gw1", "gw5": "did not say"}.items():
        with pytest.raises(Usage, match=said):
            hosts.require_own_client(config, hosts.named(config, name))
    hosts.require_own_client(config, hosts.named(config, "gw6"))


def test_a_host_hears_that_another_has_its_name(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that was copied."""
    monkeypatch.setattr(exchange, "WRITE_SECONDS", -1.0)
    here, there = Exchange(config), Exchange(config.replace(cluster_address="elsewhere:22"))
    assert not here.step() and not here.step()
    remote.forget_sessions(config, host_record.load(Path(places.record(config, "gw1")).read_bytes(), "gw1"))
    assert not here.step() and not list(doctor.twin(config))
    there.step()
    assert any("called gw1 as well" in one for one in here.step())
    assert any("called gw1 as well" in one for one in there.step())
    (found,) = doctor.twin(config)
    assert found.level.value == "FAIL" and "another host is called gw1 as well" in found.state
    mark = Path(places.copy(config), places.TWIN)
    os.utime(mark, (time.time() - 120,) * 2)
    assert not list(doctor.twin(config)), "it has another name since"


def test_a_host_whose_file_system_was_mounted_anew_is_no_other(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """What another host put there when it put our last client out, and what we wrote as the store failed."""
    monkeypatch.setattr(exchange, "WRITE_SECONDS", -1.0)
    here, path = Exchange(config), Path(places.record(config, "gw1"))
    for client in ("client1", "client2"):
        monkeypatch.setattr(ceph, "client_name", lambda _, client=client: client)
        assert not here.step()
        first = host_record.load(path.read_bytes(), "gw1")
        for old in (first.replace(ceph="client1"), first.replace(ceph="client0", is_evicted=True)):
            put(config, host_record.dumps(old), path.name)
            assert not here.step()
    put(config, host_record.dumps(first.replace(ceph="client9")), path.name)
    assert any("called gw1 as well" in one for one in here.step())


def test_a_store_that_is_not_there_ends_no_drain(config: Config) -> None:
    drained = Path(config.cluster_directory, places.DRAINED)
    (drained / "gw1").touch()
    following = Exchange(config)
    assert not following.step() and mirror.is_drained(config)
    drained.rename(f"{drained}.away")
    assert any(one.startswith("drained:") for one in following.step()) and mirror.is_drained(config)
    Path(f"{drained}.away").rename(drained)
    (drained / "gw1").unlink()
    assert not following.step() and not mirror.is_drained(config)
