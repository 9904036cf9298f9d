"""Fixtures: one gateway for all tests that can share it, and people on it with names of their own."""

from __future__ import annotations

import itertools
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.harness import PROMPT, Gateway, Person, Terminal, eventually

_numbers = itertools.count(1)


def pytest_configure() -> None:
    """What we start gets signals as a login gives them, also under nohup or in the background of a script, which have
    some ignored: a handler of ours, and not SIG_IGN, ends with exec.
    """
    for number, handler in ((signal.SIGHUP, lambda *_: None), (signal.SIGINT, signal.default_int_handler)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


def _below(place: Path) -> Path:
    path = place / str(next(_numbers))
    path.mkdir()
    return path


@pytest.fixture(scope="session")
def place() -> Iterator[Path]:
    """A directory that the gateway's account can reach (pytest's own is closed to others)."""
    with tempfile.TemporaryDirectory(prefix="enc-test-") as name:
        path = Path(name)
        path.chmod(0o755)
        yield path


@pytest.fixture(scope="module")
def ground(place: Path) -> Path:
    """A new directory below `place` for this module alone: which modules share a process, and so `place`, varies."""
    return _below(place)


@pytest.fixture(scope="session")
def gateway(place: Path) -> Iterator[Gateway]:
    """A gateway with default settings. Fails the suite when anything is left behind at its end."""
    shared = Gateway(_below(place) / "gw").start()
    try:
        yield shared
        eventually(lambda: not shared.leftovers())
    finally:
        shared.stop()
    assert not shared.processes()


@pytest.fixture
def make_gateway(place: Path) -> Iterator[Callable[..., Gateway]]:
    """A gateway of the test's own: `make_gateway(**{"key": "value"})` with settings of gateway.toml, and `host`."""
    made: list[Gateway] = []

    def make(host: str = "", **settings: str) -> Gateway:
        made.append(Gateway(_below(place) / "gw", settings, host).start())
        return made[-1]

    yield make
    for one in made:
        one.stop()


@pytest.fixture
def person(gateway: Gateway) -> Person:
    """Somebody new on the shared gateway, with no project yet."""
    return gateway.person(f"p{next(_numbers)}")


@pytest.fixture
def project(person: Person) -> str:
    """A project of `person`, locked."""
    person.new("myproj")
    return "myproj"


@pytest.fixture
def prompt(person: Person) -> Iterator[Terminal]:
    """The prompt of `person`, ready."""
    terminal = person.terminal()
    terminal.expect(PROMPT)
    yield terminal
    terminal.close()
