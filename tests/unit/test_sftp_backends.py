"""SFTP in the front: what it holds for the sessions of a client."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from gateway.errors import EncError, NotUnlocked
from gateway.identity.names import Principal, SessionId
from gateway.session.registry import Session
from rshell.context import Context
from rshell.session.sftp.backend import Backend

PLACES = 2


@pytest.fixture
def context(tmp_path: Path) -> Context:
    """Of a principal with two places for programs."""
    config = SimpleNamespace(paths_run=str(tmp_path), limits_programs=PLACES)
    return cast("Context", SimpleNamespace(config=config, caller=SimpleNamespace(principal=Principal.of("dev"))))


@pytest.fixture
def ended() -> Session:
    """A session of a list that is a moment old, which has ended since."""
    return cast("Session", SimpleNamespace(id=SessionId("s-0123456789ab"), principal=Principal.of("dev")))


def test_a_session_that_has_ended_costs_its_client_no_place_and_no_descriptor(context: Context, ended: Session) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(PLACES + 1):
        with pytest.raises(NotUnlocked, match="has just ended"):
            Backend(context, ended, 1)
    assert len(os.listdir("/proc/self/fd")) == before


def test_without_descriptors_a_client_is_refused_another_session(
    context: Context, ended: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(_: int) -> tuple[int, int]:
        raise OSError(24, "Too many open files")

    before = len(os.listdir("/proc/self/fd"))
    monkeypatch.setattr(os, "pipe2", none)
    with pytest.raises(EncError):
        Backend(context, ended, 1)
    assert len(os.listdir("/proc/self/fd")) == before
