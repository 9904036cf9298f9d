"""Somebody with a stolen key guesses the passphrase of its owner's project, and does not want to wait."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from gateway.identity.names import Principal
from tests.harness import PASSPHRASE, Gateway, Person, eventually


def guess(person: Person, project: str) -> float:
    """Try a wrong passphrase; the seconds of waiting that it was told of."""
    result = person.ssh("mount", project, stdin="a wrong guess of somebody\n")
    assert result.status == 77, result
    told = re.search(r"waiting ([0-9.]+) s", result.err)
    return float(told[1]) if told else 0.0


def test_unlocking_a_project_of_ones_own_clears_no_failures(person: Person, project: str) -> None:
    person.new("mine", "my own passphrase here")
    for _ in range(3):
        guess(person, project)
    with person.mounted("mine", "my own passphrase here"):
        assert person.ssh("unmount", "mine").status == 0
    held = person.hold("mount", project, stdin="a wrong guess of somebody\n")
    result = held.wait()
    assert result.status == 77
    began = time.monotonic()
    guess(person, project)
    assert time.monotonic() - began > 2.5, "the fifth guess waits up to 4 s"


def test_an_attempt_that_is_broken_off_clears_no_failures(make_gateway: Callable[..., Gateway]) -> None:
    person, project = make_gateway(**{"passphrase.cost": "18"}).person("slow"), "p"  # which gives time to break it off
    person.new(project)
    for _ in range(3):
        guess(person, project)
    principal = Principal.of_fingerprint(person.fingerprint)
    turns = person.gateway.root / "run" / "attempts" / principal.directory
    before = turns.read_text()
    time.sleep(2.5)
    broken = person.hold("mount", project, stdin=PASSPHRASE + "\n")
    pids = eventually(lambda: [pid for pid, words in person.gateway.processes().items() if "/gocryptfs" in words])
    assert pids
    broken.end()
    eventually(lambda: not person.gateway.session_processes())
    assert person.gateway.events("session-opened", principal=person.fingerprint) == []
    assert turns.read_text() == before
