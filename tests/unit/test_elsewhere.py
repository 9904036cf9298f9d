"""What a host says of projects that others have, and when nothing begins on it."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from gateway.base import process
from gateway.base.clock import boottime, utc
from gateway.cluster import host_record, mirror, places
from gateway.cluster.host_record import HostRecord, Hosts, Seen
from gateway.config import loader
from gateway.config.schema import Config
from gateway.errors import Busy, Elsewhere, EncError, Misconfigured, Paused
from gateway.identity.names import HostName, Principal, ProjectName, SessionId, SharedName
from gateway.limits.disk import usage
from gateway.session import maintenance
from gateway.session.record import Holder, Session, View
from rshell.front import policy
from rshell.language import command
from rshell.terminal import output

DEV, ANN, PARSER = Principal("dev1"), Principal("ann"), ProjectName("parser")
NOW = "2026-11-25T00:00:00Z"


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """Of a host whose copy is complete."""
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / places.FRESH).touch()
    made = loader.parse("").replace(
        cluster_directory=str(tmp_path),
        cluster_host="gw1",
        cluster_address="gw1:22",
        paths_authorized_keys=f"{tmp_path}/keys/authorized_keys",
        paths_pause=f"{tmp_path}/paused",
    )
    aged(made, 1.0)
    return made


def aged(config: Config, seconds: float) -> None:
    """Let the copy have been complete that long ago."""
    at = int((boottime() - seconds) * 1e9)
    os.utime(os.path.join(places.copy(config), places.FRESH), ns=(at, at))


def told(config: Config, *sessions: Session, silent_for: float = 0.0) -> None:
    """What gw2 has, by its last word."""
    all_told(config, seen("gw2", *sessions, silent_for=silent_for))


def all_told(config: Config, *hosts: Seen) -> None:
    Path(places.copy(config), places.COPIED_HOSTS).write_text(host_record.dumps(Hosts(hosts=hosts)))


def seen(name: str, *sessions: Session, silent_for: float = 0.0, is_drained: bool = False) -> Seen:
    record = HostRecord(
        host=HostName(name),
        address=f"{name}:22",
        written=utc(time.time()),
        is_drained=is_drained,
        sessions=sessions,
        audit_seq=1,
        audit_hash="x",
    )
    return Seen(record=record, changed=boottime() - silent_for)


def session(shared_with: Principal | None = None) -> Session:
    made = Session(
        id=SessionId("s-000000000001"),
        principal=DEV,
        fingerprint="SHA256:x",
        address="192.0.2.1",
        port=1,
        connection="c",
        anchor="mount",
        since=NOW,
        pid=1,
        views=(View(project=PARSER, since=NOW),),
    )
    if shared_with is None:
        return made
    holder = Holder(
        principal=shared_with,
        role="writer",
        fingerprint="SHA256:x",
        address="192.0.2.1",
        port=1,
        connection="c",
        kind="mount",
        since=NOW,
        via="",
        projects=(PARSER,),
    )
    return made.replace(shared=True, holders=(holder,))


def refusal(config: Config, held: bool = True, holder: str = "") -> EncError | None:
    try:
        mirror.require_here(config, DEV, PARSER, PARSER, lambda: held, lambda: holder)
    except EncError as error:
        return error
    return None


def test_a_host_that_answers_is_where_to_go(config: Config, capfd: pytest.CaptureFixture[str]) -> None:
    told(config, session())
    error = refusal(config)
    assert isinstance(error, Elsewhere)
    assert error.line() == "parser is unlocked on gw2; connect to gw2:22, where it is"
    output.failure(error, as_json=True)
    assert '"host":"gw2","address":"gw2:22"' in capfd.readouterr().out.replace(": ", ":").replace(", ", ",")


def test_what_was_said_a_moment_ago_counts_only_while_the_vault_is_somebody_s(config: Config) -> None:
    told(config, session())
    assert refusal(config, held=False) is None
    told(config)
    assert refusal(config) is None


def test_a_silent_host_is_waited_for_only_while_the_vault_is_its(config: Config) -> None:
    told(config, session(), silent_for=23.0)
    error = refusal(config)
    assert isinstance(error, Busy) and error.hint == "try again"
    assert "parser is held by gw2, which has not answered for 23 s; it is free at most 45 s after" in str(error)
    assert refusal(config, held=False) is None


def test_a_host_that_has_not_told_yet_is_named_by_the_vault(config: Config) -> None:
    told(config)
    error = refusal(config, holder="gw2")
    assert isinstance(error, Elsewhere)
    assert error.line() == "parser is unlocked on gw2; connect to gw2:22, where it is"
    assert refusal(config, holder="gw2", held=False) is None, "it was killed, or has just ended"
    assert refusal(config, holder=config.cluster_host) is None
    assert refusal(config, holder="gw9") is None
    told(config, silent_for=23.0)
    error = refusal(config, holder="gw2")
    assert isinstance(error, Busy) and "parser is held by gw2, which has not answered for 23 s" in str(error)


def test_a_member_s_session_elsewhere_has_the_member_s_names(config: Config) -> None:
    told(config, session(shared_with=ANN))
    ((seen, found),) = mirror.sessions(config, ANN)
    assert seen.record.host == "gw2" and found.has(SharedName.of("dev1/parser"))
    ((_, own),) = mirror.sessions(config, DEV)
    assert own.has(PARSER)
    assert not list(mirror.sessions(config, Principal("bob")))
    told(config, session())
    assert not list(mirror.sessions(config, ANN)), "it is not shared"


def test_nothing_begins_where_nobody_knows_whose_keys_are_good(config: Config) -> None:
    mirror.require_running(config)
    aged(config, config.cluster_stale + 1.0)
    with pytest.raises(Misconfigured, match="the gateways' shared disk has not answered for 11 s"):
        mirror.require_running(config)
    os.unlink(os.path.join(places.copy(config), places.FRESH))
    with pytest.raises(Misconfigured, match="has not answered since this host started"):
        mirror.require_running(config)
    mirror.require_running(config.replace(cluster_directory=""))


def test_a_disk_that_has_not_answered_is_not_asked_for_a_pause(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    aged(config, config.cluster_stale + 1.0)
    monkeypatch.setattr(maintenance, "require_running", lambda _: pytest.fail("asked"))
    with pytest.raises(Misconfigured):
        mirror.require_running(config)


def test_a_drained_host_says_so(config: Config) -> None:
    Path(places.copy(config), places.DRAINED).touch()
    with pytest.raises(Paused) as caught:
        mirror.require_running(config)
    assert caught.value.line() == "this host is drained, and no other host is up; try again later"
    for silent, drained in ((30.0, False), (0.0, True)):
        all_told(config, seen("gw2", silent_for=silent, is_drained=drained))
        with pytest.raises(Paused):
            mirror.require_running(config)


def test_a_drained_host_leads_to_the_one_that_has_the_project_else_the_session_else_the_fewest(config: Config) -> None:
    Path(places.copy(config), places.DRAINED).touch()
    lexer = session().replace(views=())
    others = (session().replace(principal=ANN), session().replace(principal=ANN))
    all_told(config, seen("gw2", *others), seen("gw3", lexer, *others), seen("gw4", session(), *others), seen("gw5"))

    def led(principal: Principal | None, project: ProjectName | SharedName | None) -> Elsewhere:
        with pytest.raises(Elsewhere) as caught:
            mirror.require_running(config, principal, project)
        return caught.value

    assert led(DEV, PARSER).line() == "this host is drained; connect to gw4:22 or gw3:22 or gw5:22"
    assert (led(DEV, PARSER).host, led(DEV, PARSER).address) == ("gw4", "gw4:22")
    assert led(DEV, None).host == "gw3"
    assert led(ANN, SharedName.of("dev1/parser")).host == "gw2", "it is not shared with her"
    assert led(None, None).host == "gw5"


@pytest.mark.parametrize(("line", "begins"), [("mount p", True), ("unmount p", False), ("status", False)])
def test_a_halt_refuses_what_begins_and_nothing_else(line: str, begins: bool) -> None:
    halt = Paused("x")
    decision = policy.admit(command.parse(line), "dev1", loader.parse(""), halt, has_space=True)
    assert decision == (policy.Deny(because=halt) if begins else policy.Allow())


@pytest.mark.parametrize("line", ["unmount p", "logout", "status", "unmount ann/p"])
def test_what_ends_something_asks_no_shared_disk(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Context:
        """One that only tells what the decision needs."""

        caller, config = type("Caller", (), {"principal": "dev1"}), loader.parse("")
        at_prompt, audit_has_space = False, True

        def halt(self, _: object) -> None:
            pytest.fail("asked")

        def vault(self, _: object) -> None:
            pytest.fail("asked")

    found = policy.decisions(command.parse(line), Context())  # type: ignore[arg-type]
    assert all(isinstance(one, policy.Allow) for one in found)


def test_what_a_child_has_told_in_time_is_there(tmp_path: Path) -> None:
    def slow(tell: object) -> None:
        assert callable(tell)
        tell(b"a" * 100_000)
        tell(b"b")
        time.sleep(60)

    assert process.told_within(slow, 1.0) == (b"a" * 100_000 + b"b", False)
    assert process.ask(lambda: b"c" * 100_000, 30.0) == b"c" * 100_000
    assert process.ask(lambda: b"", 30.0) == b""
    assert process.ask(lambda: (tmp_path / "missing").read_bytes(), 30.0) is None


def test_a_file_system_that_counts_by_itself_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "f").write_bytes(b"x" * 100_000)
    assert usage.size(str(tmp_path)) != (123, True)
    monkeypatch.setattr(os, "getxattr", lambda path, name, **_: b"123" if name == "ceph.dir.rbytes" else path)
    assert usage.size(str(tmp_path)) == (123, True)
