"""A bare repository in a shared project serves pushes and fetches of two people at the same time, with stock git: as
docs/client.md shows it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.harness import PASSPHRASE, Gateway, Person, Result, need
from tests.system.test_git import git
from tests.teams import SECRET, accept, invite

COMMITS = 6


@pytest.fixture
def team(gateway: Gateway) -> Iterator[dict[str, tuple[Person, str]]]:
    """Two members who have the project unlocked, each with what they call the repository."""
    need(Path("/usr/bin/git").exists(), "git")
    alice, bob, carol = (gateway.person(f"g-{os.getpid()}-{name}", name) for name in ("alice", "bob", "carol"))
    alice.new("plan")
    for who, *flags in ((bob,), (carol, "--read")):
        done = accept(who, "alice/plan", invite(alice, "plan", "bob" if who is bob else "carol", *flags))
        assert done.status == 0, done
    with ExitStack() as held:
        held.enter_context(alice.mounted("plan", PASSPHRASE))
        for who in (bob, carol):
            held.enter_context(who.mounted("alice/plan", SECRET))
        made = alice.ssh("run", "plan", "--", "git", "init", "-q", "--bare", "-b", "main", "repo.git")
        assert made.status == 0, made
        theirs = "gateway:alice/plan/repo.git"
        yield {"alice": (alice, "gateway:plan/repo.git"), "bob": (bob, theirs), "carol": (carol, theirs)}


def commit(who: Person, at: Path, name: str) -> None:
    (at / name).write_text(name * 1000)
    for words in (("add", "."), ("commit", "-q", "-m", name)):
        assert git(who, *words, at=at).status == 0


def work(who: Person, name: str, at: Path) -> list[Result]:
    """What somebody does who works on `main` with another: commit, and push; who comes second takes over and tries
    again.
    """
    done = []
    for number in range(COMMITS):
        commit(who, at, f"{name}-{number}")
        for _ in range(10 * COMMITS):
            if git(who, "push", "-q", "origin", "main", at=at).status == 0:
                break
            done.append(git(who, "pull", "-q", "--rebase", "origin", "main", at=at))
        else:
            raise AssertionError(git(who, "push", "origin", "main", at=at))
        done.append(git(who, "fetch", "-q", "origin", at=at))
    return done


def test_two_members_push_and_fetch_at_the_same_time(team: dict[str, tuple[Person, str]], tmp_path: Path) -> None:
    alice, hers = team["alice"]
    bob, his = team["bob"]
    first, second, third = (tmp_path / name for name in ("alice", "bob", "carol"))
    assert git(alice, "clone", "-q", hers, str(first), at=tmp_path).status == 0
    commit(alice, first, "begin")
    assert git(alice, "push", "-q", "origin", "main", at=first).status == 0
    assert git(bob, "clone", "-q", his, str(second), at=tmp_path).status == 0
    with ThreadPoolExecutor() as pool:
        both = [pool.submit(work, alice, "a", first), pool.submit(work, bob, "b", second)]
        results = [each for one in both for each in one.result()]
    assert [each for each in results if each.status] == []
    assert alice.ssh("run", "plan", "--", "git", "--git-dir=repo.git", "fsck", "--strict").status == 0
    log = alice.ssh("run", "plan", "--", "git", "--git-dir=repo.git", "log", "--format=%s", "main").out.split()
    assert sorted(log) == sorted(["begin", *(f"{who}-{number}" for who in "ab" for number in range(COMMITS))])

    carol, read_only = team["carol"]
    assert git(carol, "clone", "-q", read_only, str(third), at=tmp_path).status == 0
    assert len(list(third.glob("[ab]-*"))) == 2 * COMMITS
    commit(carol, third, "carols")
    refused = git(carol, "push", "-q", "origin", "main", at=third)
    assert refused.status and "enc: " in refused.err, refused
