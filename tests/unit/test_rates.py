"""Requests and connections in a minute: as many as allowed, each principal by itself, and the rest counted and told."""

from __future__ import annotations

import errno
import multiprocessing
import os
import time
from pathlib import Path

import pytest

from gateway.audit.log import AuditLog
from gateway.base import locks
from gateway.errors import Busy, Misconfigured
from gateway.identity.names import Principal
from gateway.limits import rates
from gateway.limits.rates import Ruling

ONE, OTHER = Principal("one"), Principal("other")
Told = list[tuple[str, dict[str, object]]]


class Gate:
    """`rates.admit` with limits, a clock that can be set forward, and what it told the audit."""

    def __init__(self, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.run = str(run)
        self.told: Told = []
        self.later = 0.0
        clock = time.clock_gettime
        monkeypatch.setattr(time, "clock_gettime", lambda which: clock(which) + self.later)

    def tell(self, principal: Principal, fields: dict[str, object]) -> None:
        self.told.append((principal, {name: value for name, value in fields.items() if name != "since"}))

    def asks(
        self,
        requests: int = 0,
        logins: int = 0,
        connection: str = "",
        who: Principal = ONE,
        always: bool = False,
        kind: str = rates.LISTED,
    ) -> Ruling:
        return rates.admit(self.run, who, requests, logins, self.tell, connection, always, kind)

    def told_now(self) -> Told:
        told, self.told = self.told, []
        return told


@pytest.fixture
def gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Gate:
    return Gate(tmp_path, monkeypatch)


PASSES = Ruling(is_recorded=True)


def test_requests_beyond_the_limit_are_refused_and_one_refusal_is_recorded(gate: Gate) -> None:
    assert [gate.asks(3) for _ in range(3)] == [PASSES] * 3
    refused = [gate.asks(3) for _ in range(5)]
    assert [one.is_recorded for one in refused] == [True, False, False, False, False]
    assert str(refused[0].refusal) == "you made 3 requests within a minute, which is the limit"
    assert refused[0].refusal and refused[0].refusal.code == 75 and refused[0].refusal.hint.startswith("wait ")
    assert gate.asks(3, who=OTHER) == PASSES, "another principal has a count of its own"
    assert not gate.told


def test_the_rest_is_told_once_when_the_minute_is_over_by_whoever_comes_next(gate: Gate) -> None:
    for _ in range(3 + 5):
        gate.asks(3)
    gate.later = 61
    assert gate.asks(3) == PASSES
    assert gate.told_now() == [("one", {"refused": 5, "passed": 0})]
    for _ in range(3):
        gate.asks(3)
    gate.later = 122
    gate.asks(3)
    assert not gate.told_now(), "the one refusal has a record of its own"


def test_nothing_is_forgotten_that_could_not_be_told(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(1 + 4):
        gate.asks(1)
    gate.later = 61

    def full(*_: object) -> None:
        raise Misconfigured("the audit log cannot be written")

    with monkeypatch.context() as broken:
        broken.setattr(gate, "tell", full)
        for _ in range(2):
            with pytest.raises(Misconfigured, match="audit"):
                gate.asks(1)
        assert rates.sweep(gate.run, full) == 0
    gate.asks(1)
    assert gate.told_now() == [("one", {"refused": 4, "passed": 0})]


def test_the_sweep_tells_of_those_who_do_not_come_back_and_clears_away(gate: Gate, tmp_path: Path) -> None:
    for _ in range(1 + 4):
        gate.asks(1)
    gate.asks(1, who=OTHER)
    (tmp_path / "rates" / "no principal").write_text("x")
    (tmp_path / "rates" / "u-link").symlink_to("/etc/passwd")
    assert (rates.sweep(gate.run, gate.tell), gate.told_now()) == (0, [])
    gate.later = 61
    assert rates.sweep(gate.run, gate.tell) == 2
    assert gate.told_now() == [("one", {"refused": 4, "passed": 0})]
    assert sorted(os.listdir(tmp_path / "rates")) == ["no principal", "u-link"]
    assert rates.sweep(gate.run, gate.tell) == 0


def test_what_always_passes_is_counted_beyond_a_number_of_records(gate: Gate) -> None:
    gate.asks(1)
    passed = [gate.asks(1, always=True) for _ in range(rates.RECORDED_BEYOND + 40)]
    assert not [one for one in passed if one.refusal]
    assert [one.is_recorded for one in passed] == [True] * rates.RECORDED_BEYOND + [False] * 40
    assert gate.asks(1).refusal
    gate.later = 61
    gate.asks(1)
    assert gate.told_now() == [("one", {"refused": 1, "passed": 40})]


def test_connections_are_counted_and_not_channels(gate: Gate) -> None:
    for _ in range(9):
        assert gate.asks(0, 2, "192.0.2.7:1") == PASSES
    assert gate.asks(0, 2, "192.0.2.7:2") == PASSES
    third = gate.asks(0, 2, "192.0.2.7:3")
    assert str(third.refusal) == "you connected 2 times within a minute, which is the limit"
    assert not gate.asks(0, 2, "192.0.2.7:3").is_recorded
    assert gate.asks(0, 2, "192.0.2.7:3", always=True).refusal is None
    assert gate.asks(0, 2, "192.0.2.7:1") == PASSES
    assert gate.asks(0, 2) == PASSES, "a line at the prompt is no connection"
    assert gate.asks(0, 2, "192.0.2.7:3", who=OTHER) == PASSES
    assert gate.asks(0, 0, "192.0.2.7:4") == PASSES


def test_a_connection_that_was_let_in_is_none_of_a_later_minute(gate: Gate) -> None:
    gate.asks(0, 1, "192.0.2.7:1")
    gate.later = 61
    assert gate.asks(0, 1, "192.0.2.7:2") == PASSES
    gate.later = 3600
    assert [gate.asks(0, 1, f"192.0.2.7:{port}").refusal is None for port in (1, 2, 3, 4)] == [True, True, True, False]


def test_the_file_stays_small(gate: Gate, tmp_path: Path) -> None:
    for minute in range(3):
        gate.later = 61 * minute
        for port in range(600):
            gate.asks(0, 600, f"192.0.2.{minute}:{port}")
    assert (tmp_path / "rates" / ONE.directory).stat().st_size < 20_000
    gate.later = 61 * 3
    gate.asks(0, 1, "192.0.2.3:1")
    assert gate.asks(0, 1, "192.0.2.2:599") == PASSES, "the newest stay known"
    assert gate.asks(0, 1, "192.0.2.0:0").refusal


def test_keys_that_are_not_authorized_use_up_nothing_of_the_principal_s(gate: Gate) -> None:
    for kind in (rates.UNLISTED, rates.INVITED):
        assert [bool(gate.asks(1, kind=kind).refusal) for _ in range(3)] == [False, True, True]
    assert gate.asks(1) == PASSES
    gate.later = 61
    gate.asks(1, kind=rates.UNLISTED)
    assert gate.told_now() == [("one", {"refused": 2, "passed": 0, "callers": "unlisted"})]


GOOD = b"0000000001 0000000000 0000000009 0000000000 0000000000 0000000000 0000000000 0000000000\n"


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xfe\n",
        b"x y z\n",
        b"1\n",
        GOOD[:-30],
        GOOD.replace(b"09", b"-9"),
        GOOD.replace(b"01", b"02"),
        b"9" * 4096,
    ],
)
def test_a_spoilt_file_is_as_none(gate: Gate, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "rates").mkdir()
    (tmp_path / "rates" / ONE.directory).write_bytes(content)
    assert gate.asks(1, 1, "a:1") == PASSES
    assert gate.asks(1, 1, "a:1").refusal


def test_a_file_that_is_held_is_waited_for_and_then_given_up(gate: Gate, tmp_path: Path) -> None:
    gate.asks(9)
    fd = os.open(tmp_path / "rates" / ONE.directory, os.O_RDWR)
    locks.acquire(fd)
    with pytest.raises(Misconfigured, match="cannot be counted"):
        gate.asks(9)
    os.close(fd)
    assert gate.asks(9) == PASSES


def test_a_run_directory_that_cannot_be_written_is_an_error_and_no_traceback(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(Misconfigured, match="run directory"):
        gate.asks(9)


def _ask(run: str, path: str, times: int) -> None:
    def tell(principal: Principal, fields: dict[str, object]) -> None:
        AuditLog(path, principal=principal).write("throttled", **fields)

    refused = sum(isinstance(rates.admit(run, ONE, 100, 100, tell, "a:1").refusal, Busy) for _ in range(times))
    os._exit(refused)


def test_many_at_once_are_counted_exactly(tmp_path: Path) -> None:
    fork = multiprocessing.get_context("fork")
    askers = [fork.Process(target=_ask, args=(str(tmp_path), str(tmp_path / "log"), 60)) for _ in range(4)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join(60)
    codes = [asker.exitcode for asker in askers]
    assert sum(code for code in codes if code is not None) == 4 * 60 - 100
