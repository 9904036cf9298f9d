"""Who waits for the files of a principal's limits is told, once, and not for ever."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from gateway.errors import Busy
from gateway.identity.names import Principal
from gateway.limits import backoff, concurrency, shared_files

DEV = Principal("dev1")


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(shared_files, "SLOW_AFTER", 0.1)
    monkeypatch.setattr(shared_files, "_GIVEN_UP_AFTER", 0.5)
    return []


def hang(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    monkeypatch.setattr(shared_files, "_open", lambda _: time.sleep(seconds))


def test_files_that_answer_and_those_that_are_not_there_are_nobody_s_wait(tmp_path: Path, told: list[str]) -> None:
    shared_files.SLOW_AFTER = 30.0  # as the fixture, which undoes it
    assert not shared_files.wait(str(tmp_path), DEV, told.append)
    os.close(concurrency.open_file(str(tmp_path), DEV, concurrency.VIEWS))
    assert not shared_files.wait(str(tmp_path), DEV, told.append)
    assert not told


def test_a_wait_is_told_once_and_ends(tmp_path: Path, told: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_files, "_GIVEN_UP_AFTER", 30.0)
    hang(monkeypatch, 0.5)
    assert shared_files.wait(str(tmp_path), DEV, told.append)
    assert len(told) == 1


def test_it_is_given_up(tmp_path: Path, told: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    hang(monkeypatch, 60.0)
    with pytest.raises(Busy, match="the gateway's shared disk does not answer: nothing of yours can begin now"):
        shared_files.wait(str(tmp_path), DEV, told.append)
    assert len(told) == 1


def test_it_is_the_files_of_the_limits_that_are_waited_for(tmp_path: Path) -> None:
    os.close(backoff.begin_attempt(str(tmp_path), DEV, lambda: None))
    for kind in (concurrency.SESSIONS, concurrency.VIEWS):
        os.close(concurrency.open_file(str(tmp_path), DEV, kind))
    made = {str(path) for path in tmp_path.rglob("*") if path.is_file()}
    assert made == set(shared_files._paths(str(tmp_path), DEV))
