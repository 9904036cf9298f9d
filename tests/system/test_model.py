"""What programs do to files in a project comes out as on the host: hypothesis chooses the steps (tests/model.py).

`python -m bench.model` does the same for as long as one likes.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.harness import Gateway, Person, eventually
from tests.laptop import laptop
from tests.model import machine
from tests.places import MOUNT, VIEW, beside, in_mount, in_view

CI = settings(
    max_examples=24,
    stateful_step_count=16,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
"""More than 300 steps, always the same. Each example lacks some kinds of steps (hypothesis), so there are many."""


@pytest.fixture
def person(make_gateway: Callable[..., Gateway]) -> Person:
    """At a gateway of their own: what is left in their project is deeper than a path can be, and others look there."""
    return make_gateway().person("writer")


def test_files_in_a_view_are_as_on_the_host_and_after_it_was_locked(person: Person, place: Path) -> None:
    person.new("files")
    with beside(person.gateway, place / f"host-{person.name}") as host:
        with in_view(person, "files") as view:
            run_state_machine_as_test(machine(view, host, VIEW), settings=CI)
        assert view.steps > 200
        eventually(lambda: not live(person))
        with in_view(person, "files") as again:
            for directory in host.begun:
                assert again.do("look", directory) == host.do("look", directory)
            again.do("open_all")  # gocryptfs -fsck counts what it may not read as corrupt
    eventually(lambda: not live(person))
    assert person.fsck("files").status == 0


def test_files_in_a_mount_are_as_on_the_host(person: Person, place: Path) -> None:
    person.new("files")
    with laptop(person) as mine, in_mount(mine, place / f"own-{person.name}") as (mount, host):
        run_state_machine_as_test(machine(mount, host, MOUNT), settings=CI)
        assert mount.steps > 200


def live(person: Person) -> list[dict[str, object]]:
    """The sessions of this person; the gateway has those of others."""
    return [one for one in person.gateway.sessions() if one["fingerprint"] == person.fingerprint]
