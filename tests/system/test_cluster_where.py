"""Two hosts of a cluster: a project is unlocked on one of them, and the other says where."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import PASSPHRASE, Gateway, Person, eventually, need_root
from tests.hosts import Cluster, copy, follower, followers
from tests.hosts import cluster as hosts

STALE = 7
"""Seconds. Of a machine that is busy with other tests, even the least that may be set asks too much."""


@pytest.fixture(scope="module")
def cluster(ground: Path) -> Iterator[Cluster]:
    need_root()
    with hosts(ground, 2, **{"cluster.stale": str(STALE), "limits.sessions": "2"}) as both:
        yield both


People = dict[str, tuple[Person, ...]]


@pytest.fixture(scope="module")
def people(cluster: Cluster) -> People:
    return cluster.people(*(f"dev{number}" for number in range(1, 8)))


@contextlib.contextmanager
def cut_off(host: Gateway, keys: bool = True) -> Iterator[None]:
    """What follows the shared directory there gets no answer; without `keys`, what copies the keys does."""
    pids = [pid for pid in followers(host) if keys or pid != follower(host)]
    assert pids
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


NEEDS_IT_HERE = (
    *(("mount", "p"), ("unmount", "p"), ("run", "p", "--", "true"), ("shell", "p"), ("workspace", "p"), ("touch", "p")),
    *(("sftp", "p"), ("scp", "-f", "p/f"), ("rsync", "--server", "--sender", "-r", ".", "p/"), ("sftp",), ("logout",)),
    *(
        ("git-upload-pack", "p/r.git"),
        ("idle", "p", "60"),
        ("fsck", "p"),
        ("rekey", "p"),
        ("rm", "p"),
        ("mv", "p", "q"),
    ),
)


def host_of_only(person: Person) -> str:
    """The other host on which the only project of `person` is unlocked, as `ls` says; "" for none."""
    (project,) = json.loads(person.ssh("ls", "--json").out)["projects"]
    return str(project.get("host", ""))


def test_the_other_host_says_where_a_project_is_before_it_asks_for_anything(cluster: Cluster, people: People) -> None:
    (here, there), (first, second) = people["dev1"], cluster.hosts
    address = str(first.settings["cluster.address"])
    here.new("p")
    with here.mounted("p") as held:
        holder = json.loads((first.vaults / "u-dev1" / "p" / "holder").read_text())
        (session,) = first.sessions()
        assert (holder["host"], holder["session"]) == ("gw1", session["id"])
        eventually(lambda: host_of_only(there) == "gw1")
        for words in NEEDS_IT_HERE:
            result = there.ssh(*words)
            assert result.status == 75, (words, result)
            assert f"on gw1; connect to {address}, where it is" in result.out + result.err, (words, result)
        said = there.ssh("mount", "p", "--json").json
        assert (said["error"], said["host"], said["address"]) == ("elsewhere", "gw1", address)
        assert "unlocked on gw1" in there.ssh("ls").out
        (told,) = json.loads(there.ssh("status", "--json").out)["sessions"]
        assert (told["id"], told["host"], told["answers"]) == (session["id"], "gw1", True)
        assert f"session {session['id']} on gw1 of dev1" in there.ssh("status").out
        assert f"is on gw1 ({address}); `logout --all` there ends it" in there.ssh("logout", "--all").err
        assert second.events("request", verb="mount", decision="allow")
        held.end()
    eventually(lambda: not host_of_only(there))
    with there.mounted("p"):
        assert there.ssh("run", "p", "--", "true").status == 0
        assert json.loads((first.vaults / "u-dev1" / "p" / "holder").read_text())["host"] == "gw2"


def test_what_was_unlocked_a_moment_ago_is_found_before_its_host_has_told_of_it(
    cluster: Cluster, people: People
) -> None:
    here, there = people["dev7"]
    here.new("p")
    with cut_off(cluster.two, keys=False), here.mounted("p"):
        for words in (("mount", "p"), ("run", "p", "--", "true"), ("challenge", "p")):
            result = there.ssh(*words)
            assert result.status == 75 and "p is unlocked on gw1; connect to" in result.err, (words, result)
        assert not host_of_only(there), "nothing else could have said so"


def test_of_another_s_project_nobody_hears_where_it_is(cluster: Cluster, people: People) -> None:
    here, _ = people["dev2"]
    here.new("p")
    _, stranger = people["dev3"]
    with here.mounted("p"):
        eventually(lambda: "dev2" in copy(cluster.hosts[1], "hosts.json").read_text())
        for words in (("mount", "dev2/p"), ("unmount", "dev2/p"), ("run", "dev2/p", "--", "true")):
            result = stranger.ssh(*words)
            assert result.status == 66 and "gw1" not in result.out + result.err, result


def test_limits_and_waits_hold_on_both_hosts_together(cluster: Cluster, people: People) -> None:
    here, there = people["dev4"]
    for project in ("p", "q", "r"):
        here.new(project)
    for _ in range(2):
        assert here.ssh("mount", "p", stdin="wrong passphrase\n").status == 77
    refused = there.ssh("mount", "p", stdin="wrong passphrase\n")
    assert refused.status == 77 and "after wrong passphrases" in refused.err
    with here.mounted("q"), here.mounted("r"):
        full = there.ssh("mount", "p", stdin=PASSPHRASE + "\n")
        assert full.status == 75 and "you have 2 live sessions, which is the limit" in full.err
    with there.mounted("p"):
        pass


def test_a_host_that_is_drained_begins_nothing_and_ends_nothing(cluster: Cluster, people: People) -> None:
    here, there = people["dev5"]
    here.new("p")
    mark = cluster.shared / "drained" / "gw2"
    with there.mounted("p"):
        mark.touch()
        try:
            eventually(copy(cluster.hosts[1], "drained").exists)
            refused = there.ssh("new", "q", stdin=PASSPHRASE + "\n")
            address = cluster.one.settings["cluster.address"]
            assert refused.err == f"enc: this host is drained; connect to {address}\n"
            again = there.ssh("mount", "p").err
            assert again == "enc: p is unlocked here, and this host is drained; `unmount p`, and connect again\n"
            assert there.ssh("status").out.startswith("session ")
            assert there.ssh("unmount", "p").status == 0
            with here.mounted("p"):
                pass
        finally:
            mark.unlink()
    eventually(lambda: there.ssh("new", "q", stdin=PASSPHRASE + "\n").status == 0)


def test_a_host_that_does_not_know_whose_keys_are_good_ends_sessions_and_begins_none(
    cluster: Cluster, people: People
) -> None:
    (here, there), first = people["dev6"], cluster.one
    here.new("p")
    assert here.ssh("share", "p", "dev7", stdin=PASSPHRASE + "\n").status == 0
    held = here.hold("mount", "p", stdin=PASSPHRASE + "\n")
    held.read_until("unlocked")
    eventually(lambda: host_of_only(there) == "gw1")
    with cut_off(first):
        ended = held.wait()
        assert ended.status == 75 and "the gateway cannot tell any more whose keys are good" in ended.out
        assert first.events("session-closed", reason="keys-stale")
        for words in (("mount", "p"), ("unshare", "p", "dev7")):
            refused = here.ssh(*words)
            assert refused.status == 75 and "the gateways' shared disk has not answered for" in refused.err, words
        assert here.ssh("status").status == 0
        with there.mounted("p"):  # whatever its last host has told before that
            pass
    eventually(lambda: here.ssh("new", "q", stdin=PASSPHRASE + "\n").status == 0)


def test_after_a_suspend_nothing_is_done_in_a_session_before_it_is_known_whose_keys_are_good(cluster: Cluster) -> None:
    """The session ends by itself only when the copy was too old in two looks."""
    here, first = cluster.people("dev8")["dev8"][0], cluster.one
    here.new("p")
    held = here.hold("mount", "p", stdin=PASSPHRASE + "\n")
    held.read_until("unlocked")
    with cut_off(first):
        warden = first.warden()
        os.kill(warden, signal.SIGSTOP)
        a_minute_ago = int((time.clock_gettime(time.CLOCK_BOOTTIME) - 60) * 1e9)
        os.utime(copy(first, "fresh"), ns=(a_minute_ago, a_minute_ago))
        asking = [here.hold("run", "p", "--", "echo", "done"), here.hold("scp", "-f", "p/f")]
        time.sleep(1.0)  # they wait for the session's answer then, or ask within the second that it still has
        os.kill(warden, signal.SIGCONT)
        for one in asking:
            said = one.wait()
            assert said.status == 75 and "shared disk has not answered for 6" in said.out + said.err, said
        assert held.wait().status == 75
        assert first.events("session-closed", reason="keys-stale")
