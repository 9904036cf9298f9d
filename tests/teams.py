"""People who share a project: for the tests of members, of roles, and of the siege."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from tests.harness import PASSPHRASE, Gateway, Person, Result
from tests.system.test_slots import CODE

_numbers = itertools.count(1)
SECRET = "what bob types for it"


@dataclass(frozen=True)
class Team:
    """`project` is alice's. Bob writes, carol reads, dave is nobody to it."""

    alice: Person
    bob: Person
    carol: Person
    dave: Person
    project: str

    @property
    def gateway(self) -> Gateway:
        return self.alice.gateway

    @property
    def shared(self) -> str:
        return f"{owner(self.alice)}/{self.project}"


def owner(who: Person) -> str:
    return str(who.ssh("whoami", "--json").json["principal"])


def invite(who: Person, project: str, member: str, *flags: str) -> str:
    done = who.ssh("share", project, member, *flags, stdin=PASSPHRASE + "\n")
    assert done.status == 0, done
    found = CODE.search(done.out)
    assert found, done
    return found[0]


def accept(who: Person, shared: str, code: str, secret: str = SECRET) -> Result:
    return who.ssh("accept", shared, "passphrase", stdin=f"{code}\n{secret}\n")


def formed(gateway: Gateway) -> Team:
    """A team whose members have accepted, by a passphrase."""
    number = next(_numbers)
    alice, bob, carol, dave = (
        gateway.person(f"{name}-{os.getpid()}-{number}", f"{name}{number}")
        for name in ("alice", "bob", "carol", "dave")
    )
    made = Team(alice, bob, carol, dave, "plan")
    alice.new(made.project)
    for who, *flags in ((bob,), (carol, "--read")):
        done = accept(who, made.shared, invite(alice, made.project, owner(who), *flags))
        assert done.status == 0, done
    return made


@contextmanager
def working(team: Team) -> Iterator[None]:
    """All three have it mounted: bob first."""
    with ExitStack() as held:
        for who, name, secret in (
            (team.bob, team.shared, SECRET),
            (team.alice, team.project, PASSPHRASE),
            (team.carol, team.shared, SECRET),
        ):
            held.enter_context(who.mounted(name, secret))
        yield
