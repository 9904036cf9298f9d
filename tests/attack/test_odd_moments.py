"""Clients and programs that end at the worst moment."""

from __future__ import annotations

import os
import random
import signal
import time
from concurrent.futures import ThreadPoolExecutor

from tests.harness import PASSPHRASE, Gateway, Person, eventually
from tests.life import session, unlock

TRIES = 60


def serving(gateway: Gateway, project: str) -> int:
    """The pid of the gocryptfs of a project."""
    (pid,) = (pid for pid, words in gateway.processes().items() if f"/vaults/{project}/cipher" in words)
    return pid


def test_a_client_killed_at_any_moment_of_mount_leaves_nothing(person: Person, project: str) -> None:
    moments = random.Random(1)  # any moments will do, but the same ones each time

    def one(seconds: float) -> None:
        held = person.hold("mount", project, stdin=PASSPHRASE + "\n")
        time.sleep(seconds)
        held.end()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(one, [moments.uniform(0.02, 0.9) for _ in range(TRIES)]))
    gateway = person.gateway
    eventually(lambda: not gateway.session_processes())
    mine = {"principal": person.fingerprint}
    for event in ("session-opened", "unlocked", "locked", "session-closed"):
        assert len(gateway.events(event, **mine)) == len(gateway.events("unlocked", **mine)), event
    assert gateway.events("fault") == []
    with person.mounted(project):
        assert person.ssh("unmount", project).status == 0


def test_a_view_that_dies_while_another_is_being_locked_is_locked_once(person: Person, project: str) -> None:
    person.new("other")
    gateway = person.gateway
    with session(person) as (held, shared):
        for name in (project, "other"):
            unlock(person, name, shared)
        first, second = serving(gateway, project), serving(gateway, "other")
        for server in (first, second):
            os.kill(server, signal.SIGSTOP)
        os.kill(gateway.warden(), signal.SIGTERM)
        time.sleep(0.3)  # now both are waited for
        os.kill(second, signal.SIGKILL)
        held.wait(60)
    eventually(lambda: gateway.events("session-closed", principal=person.fingerprint))
    assert gateway.events("fault", principal=person.fingerprint) == []
    assert len(gateway.events("locked", principal=person.fingerprint, project="other")) == 1
    assert not gateway.session_processes()


def test_limits_set_at_the_same_moment_leave_a_sound_vault(person: Person, project: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        values = [str(number) for number in (1, 599, 7, 123, 60, 600) for _ in range(4)]
        results = list(pool.map(lambda value: person.ssh("idle", project, value), values))
    assert {result.status for result in results} == {0}
    assert person.ssh("idle", project, "000000001" + "9" * 30).status == 64
    assert [path.name for path in person.vault(project).glob("vault.toml*")] == ["vault.toml"]
    with person.mounted(project):
        assert person.ssh("unmount", project).status == 0
