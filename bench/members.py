"""Projects of several people: joining a view that somebody else holds, and what members cost who lists and mounts."""

from __future__ import annotations

import functools
import os
import shutil
import time
from contextlib import ExitStack
from pathlib import Path

from bench import place
from bench.measure import Row, in_turns, median, ms, time_of
from gateway.identity.names import Principal, SharedName
from gateway.vault.members import links
from tests.harness import PASSPHRASE, Gateway, Person, eventually
from tests.life import connection
from tests.system.test_slots import by_key, signed_twice
from tests.teams import invite

ROUNDS = 20
MEMBERS = 20
SHARED = 100
FEW, MANY = SHARED, 10_000


def run() -> list[Row]:
    return [*_joining(), *_with_members(), *_listing()]


def _joining() -> list[Row]:
    """The channel of a second person, by key, while the first holds the view; and a mount by that key alone."""
    with place.gateway() as gateway:
        alice, bob = gateway.person("alice", "alice"), gateway.person("bob", "bob")
        alice.new("p")
        code = invite(alice, "p", "bob")
        assert bob.ssh("accept", "alice/p", stdin=code + "\n" + signed_twice(bob, "alice/p")).status == 0
        signature = by_key(bob, "alice/p")
        with connection(bob) as options:

            def join() -> float:
                return _unlocked(bob, "alice/p", signature, options)

            def mount() -> float:
                taken = join()
                eventually(lambda: not gateway.leftovers())
                return taken

            with alice.mounted("p"):
                joining = in_turns(ROUNDS, {"join": join})["join"]
            eventually(lambda: not gateway.leftovers())
            alone = in_turns(ROUNDS, {"mount": mount})["mount"]
    reference = f"{ms(median(alone))} (mount by the same key, locked before)"
    return [Row("join by key, shared connection", ms(median(joining)), reference, ms(median(joining)), "150 ms")]


def _unlocked(who: Person, project: str, stdin: str, options: tuple[str, ...]) -> float:
    began = time.perf_counter()
    held = who.hold("mount", project, stdin=stdin, extra=options)
    held.read_until("unlocked")
    taken = time.perf_counter() - began
    held.end()
    return taken


def _with_members() -> list[Row]:
    """The owner's commands on a project with 20 members, against one with 1."""
    with place.gateway() as gateway:
        alice = gateway.person("alice", "alice")
        for project, count in (("one", 1), ("twenty", MEMBERS)):
            alice.new(project)
            for number in range(count):
                gateway.person(f"m{number}", f"m{number}")
                invite(alice, project, f"m{number}")
        with connection(alice) as options:

            def mount(project: str) -> float:
                taken = _unlocked(alice, project, PASSPHRASE + "\n", options)
                eventually(lambda: not gateway.leftovers())
                return taken

            def share(project: str) -> float:
                began = time.perf_counter()
                invite(alice, project, "m0")
                return time.perf_counter() - began

            def listed(project: str) -> float:
                return time_of(alice.argv("share", project, extra=options))

            rows = []
            for name, act in (("mount", mount), ("share", share), ("share (list)", listed)):
                kinds = {project: functools.partial(act, project) for project in ("one", "twenty")}
                taken = in_turns(ROUNDS, kinds)
                one, twenty = median(taken["one"]), median(taken["twenty"])
                reference = f"{ms(one)} (1 member)"
                rows.append(Row(f"{name}, {MEMBERS} members", ms(twenty), reference, f"{twenty / one:.2f}x", "1.1x"))
            return rows


def _listing() -> list[Row]:
    """`ls` of somebody with whom 100 projects are shared, among 10,000 vaults and among those 100."""
    with ExitStack() as stack:
        kinds = {}
        for count in (FEW, MANY):
            gateway = stack.enter_context(place.gateway())
            bob = gateway.person("bob", "bob")
            _fill(gateway, count)
            options = stack.enter_context(connection(bob))
            assert bob.ssh("ls", extra=options).out.count("\n") == SHARED + 1
            kinds[str(count)] = functools.partial(time_of, bob.argv("ls", extra=options))
        taken = in_turns(ROUNDS, kinds)
    few, many = median(taken[str(FEW)]), median(taken[str(MANY)])
    return [
        Row(f"ls, {SHARED} shared of {MANY:,} vaults", ms(many), f"{ms(few)} (of {FEW})", f"{many / few:.2f}x", "1.1x")
    ]


def _fill(gateway: Gateway, count: int) -> None:
    """`count` vaults of 100 owners, of which SHARED are shared with bob. Copies of one: nobody unlocks them."""
    maker = gateway.person("maker", "maker")
    maker.new("model")
    model = gateway.vaults / "u-maker" / "model"
    account = place.account(gateway)
    for number in range(count):
        home = gateway.vaults / f"u-o{number % 100}"
        home.mkdir(mode=0o700, exist_ok=True)
        shutil.copytree(model, home / f"p{number}")
    for number in range(SHARED):
        name = SharedName.of(f"o{number % 100}/p{number}")
        links.put(str(gateway.vaults), Principal("bob"), links.Link(name=name, role="writer", invited_until=""))
    for directory, folders, files in os.walk(gateway.vaults):
        for entry in (*folders, *files):
            os.chown(Path(directory, entry), account.pw_uid, account.pw_gid, follow_symlinks=False)
