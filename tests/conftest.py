"""Fixtures: one gateway for all tests that can share it, and new people on it."""

from __future__ import annotations

import itertools
import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.harness import PROMPT, Gateway, Person, Terminal, eventually

_numbers = itertools.count(1)


def pytest_configure() -> None:
    """Give what we start the signals of a login, even if we run under nohup or in the background of a script.

    Those ignore some signals, and SIG_IGN outlives exec. A handler of ours does not.
    """
    for number, handler in ((signal.SIGHUP, lambda *_: None), (signal.SIGINT, signal.default_int_handler)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


@pytest.fixture(autouse=True)
def in_the_checkout() -> Iterator[None]:
    """A test that leaves the working directory breaks others, later and elsewhere: it fails itself."""
    before = os.getcwd()
    yield
    after = os.getcwd()
    os.chdir(before)
    assert after == before


def _below(place: Path) -> Path:
    path = place / str(next(_numbers))
    path.mkdir()
    return path


@pytest.fixture(scope="session")
def place() -> Iterator[Path]:
    """A directory that the gateway's account can reach; pytest's own is closed to others."""
    with tempfile.TemporaryDirectory(prefix="enc-test-") as name:
        path = Path(name)
        path.chmod(0o755)
        yield path


@pytest.fixture(scope="module")
def ground(place: Path) -> Path:
    """A new directory below `place` for this module alone. Which modules share a process, and so `place`, varies."""
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


@pytest.fixture(scope="module")
def gateway_as_shipped(ground: Path) -> Iterator[Gateway]:
    """A gateway whose transport is the shipped one, for tests of that and of other clients."""
    own = Gateway(ground / "gw", as_shipped=True).start()
    try:
        yield own
        eventually(lambda: not own.leftovers())
    finally:
        own.stop()


@pytest.fixture
def make_gateway(place: Path) -> Iterator[Callable[..., Gateway]]:
    """Start a gateway for this test: `make_gateway(**{"key": "value"})` has settings of gateway.toml, and `host`."""
    made: list[Gateway] = []

    def make(host: str = "", **settings: str) -> Gateway:
        made.append(Gateway(_below(place) / "gw", settings, host).start())
        return made[-1]

    yield make
    for one in made:
        one.stop()


@pytest.fixture
def person(gateway: Gateway) -> Person:
    """A new person on the shared gateway, without a project."""
    return gateway.person(f"p{next(_numbers)}")


@pytest.fixture
def project(person: Person) -> str:
    """A project of `person`, locked."""
    person.new("myproj")
    return "myproj"


@pytest.fixture
def prompt(person: Person) -> Iterator[Terminal]:
    """`person` at the prompt."""
    terminal = person.terminal()
    terminal.expect(PROMPT)
    yield terminal
    terminal.close()
