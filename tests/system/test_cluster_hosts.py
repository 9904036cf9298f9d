"""Two gateways on one store: keys that go, drained hosts, sessions of all, and a host that does not follow any more."""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.identity import authorized_keys, invitations
from tests.harness import Gateway, Result, admin, bindir, eventually, run
from tests.hosts import PROCESSES, Cluster, asked, cluster, copy, follower, followers, free_port

PROMISED = 6.0
"""Seconds; 4 are promised, the rest is the machine's."""


@pytest.fixture(scope="module")
def pair(ground: Path) -> Iterator[Cluster]:
    with cluster(ground) as made:
        yield made


def revoked(pair: Cluster, name: str) -> Result:
    return admin(pair.hosts[0], "key", "revoke", f"{name}@test")


def deleted_by_hand(pair: Cluster, name: str) -> Result:
    file = pair.shared / "authorized_keys"
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(line for line in lines if f"{name}@test" not in line))
    return Result(0, "", "")


@pytest.mark.parametrize("remove", [revoked, deleted_by_hand])
def test_a_key_that_is_removed_ends_its_sessions_on_all_hosts_and_no_others(
    pair: Cluster, remove: Callable[[Cluster, str], Result]
) -> None:
    (here, there), (_, stays) = pair.people(f"l-{remove.__name__[:3]}", f"s-{remove.__name__[:3]}").values()
    for who, project in ((here, "one"), (there, "two"), (stays, "three")):
        who.new(project)
    with here.mounted("one") as one, there.mounted("two") as two, stays.mounted("three") as three:
        eventually(lambda: pair.listed()["gw2"]["sessions"] == 2)
        (on_gw2,) = [
            str(session["id"]) for session in pair.hosts[1].sessions() if "two" in json.dumps(session["views"])
        ]
        began = time.monotonic()
        said = remove(pair, here.name)
        assert said.status == 0, said
        for held in (one, two):
            assert held.wait(PROMISED).status == 75
            assert time.monotonic() - began < PROMISED
            assert "no longer authorized" in held.said
        assert there.ssh("ls").status == 255, "sshd lets it in no more"
        assert three.process.poll() is None
        if remove is revoked:
            assert f"The other hosts end its sessions within 4 s: {on_gw2} on gw2" in said.out


def test_the_sysadmin_s_commands_show_the_sessions_of_all_hosts(pair: Cluster) -> None:
    here, there = pair.people("seen")["seen"]
    there.new("work")
    with there.mounted("work"):
        eventually(lambda: pair.listed()["gw2"]["unlocked"] == 1)
        gw1, gw2 = pair.hosts
        (session,) = asked(gw1, "sessions")["sessions"]
        assert (session["host"], session["principal"], session["answers"]) == ("gw2", "seen", True)
        table = admin(gw1, "sessions").out.splitlines()
        assert table[0].split()[:2] == ["HOST", "SESSION"] and table[1].split()[:3] == ["gw2", session["id"], "seen"]
        (vault,) = [one for one in asked(gw1, "vaults")["vaults"] if one["project"] == "work"]
        assert (vault["state"], vault["host"]) == ("unlocked", "gw2")
        assert 'enc_host_views{host="gw2"} 1' in admin(gw1, "metrics").out
        standing = run([str(bindir() / "enc-gateway"), "--config", str(gw1.root / "gateway.toml")])
        assert "hosts     gw1 (this host) up, gw2 up" in standing.out and "1 session, 1 project" in standing.out
        refused = admin(gw1, "sessions", "kill", str(session["id"]), "--json")
        assert refused.status == 75 and "is a session of gw2" in refused.err
        told = json.loads(refused.out)
        assert (told["error"], told["host"], told["address"]) == ("elsewhere", "gw2", pair.listed()["gw2"]["address"])
        all_of = admin(gw1, "sessions", "kill", "--principal", "seen")
        assert all_of.status == 75 and "seen has no session here" in all_of.out
        left = f"not ended, as gw2 has them: {session['id']}; run the same there"
        assert left in all_of.err and left in admin(gw1, "sessions", "kill", "--all").err
        programs = admin(gw1, "sessions", "kill", "--all", "--json")
        on_gw2 = [{"host": "gw2", "address": pair.listed()["gw2"]["address"], "sessions": [session["id"]]}]
        assert programs.status == 75 and programs.json["elsewhere"] == on_gw2
        assert admin(gw2, "sessions", "kill", str(session["id"])).status == 0
        eventually(lambda: admin(gw1, "sessions", "kill", "--principal", "seen").status == 0)
    assert here.ssh("ls").out


def test_a_drained_host_tells_how_many_are_left_and_waits_for_them(pair: Cluster) -> None:
    gw1, gw2 = pair.hosts
    who = pair.people("drained")["drained"][1]
    who.new("work")
    with who.mounted("work") as held:
        eventually(lambda: pair.listed()["gw2"]["sessions"] == 1)
        done = admin(gw1, "host", "drain", "gw2")
        assert done.status == 0 and done.out == "gw2 is drained; 1 session left\n"
        eventually(lambda: pair.listed()["gw2"]["state"] == "drained")
        assert copy(gw2, "drained").exists() and not copy(gw1, "drained").exists()
        assert held.process.poll() is None
        words = [str(bindir() / "enc-gateway"), "host", "drain", "gw2", "--wait", "--config"]
        waiting = subprocess.Popen([*words, str(gw1.root / "gateway.toml")], stdout=subprocess.PIPE, text=True)
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.wait(2)
        assert who.ssh("unmount", "work").status == 0
        assert waiting.communicate(timeout=20)[0] == "gw2 is drained; 0 sessions left\n"
    undone = admin(gw1, "host", "drain", "gw2", "--undo")
    assert undone.out == "gw2 takes what is new\n"
    eventually(lambda: pair.listed()["gw2"]["state"] == "up" and not copy(gw2, "drained").exists())
    assert [one["name"] for one in gw1.events("host-drained")] == ["gw2"]
    assert gw1.events("host-undrained", name="gw2")


def test_what_makes_no_sense_is_refused_in_one_line(pair: Cluster) -> None:
    gw1 = pair.hosts[0]
    for words, status, said in (
        (("drain", "gw3"), 64, "the cluster has no host gw3; its hosts are gw1, gw2"),
        (("drain", "../x"), 64, "that is not a host name"),
        (("evict", "gw1"), 64, "that is this host; run it on another one"),
        (("evict", "gw2"), 75, "gw2 answers, or did until some seconds ago"),
        (("evict", "gw2", "--force"), 64, "gw2 did not say which client of Ceph's it is"),
    ):
        result = admin(gw1, "host", *words)
        assert result.status == status and said in result.err and len(result.err.splitlines()) == 1, result


def test_keys_are_edited_in_the_master_and_there_on_return(pair: Cluster) -> None:
    gw1, gw2 = pair.hosts
    key = pair.shared.parent / "added"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "added@test", "-f", str(key)], check=True)
    assert admin(gw2, "key", "add", f"{key}.pub", "--principal", "added").status == 0
    blob = Path(f"{key}.pub").read_text().split()[1]
    assert blob in (pair.shared / "authorized_keys").read_text() and blob in copy(gw2, "authorized_keys").read_text()
    assert "added" in {one["principal"] for one in asked(gw1, "key", "list")["keys"]}
    code = admin(gw1, "key", "invite", "guest")
    assert code.status == 0 and "-F" in code.err, "it names the embedded gateway's ssh_config"


def test_a_host_that_does_not_follow_has_an_old_copy_and_is_silent_to_the_others(pair: Cluster) -> None:
    gw1, gw2 = pair.hosts
    pid = follower(gw2)
    pids = followers(gw2)
    assert len(pids) == PROCESSES
    for one in pids:
        os.kill(one, signal.SIGSTOP)
    try:
        eventually(lambda: "silent for" in admin(gw2, "host", "list").out)
        fresh = copy(gw2, "fresh").stat().st_mtime_ns / 1e9
        assert time.clock_gettime(time.CLOCK_BOOTTIME) - fresh > 9
        late = admin(gw2, "key", "invite", "late")
        assert late.status == 0 and "this host's copy has not followed within 5 s" in late.err
        copy(gw2, "fresh").unlink()
        never = admin(gw2, "host", "list")
        assert "never followed" in never.out and "see that `enc-gateway host follow` runs" in never.err
        silent = {"gw1": "up", "gw2": "silent"}
        eventually(lambda: {name: one["state"] for name, one in pair.listed().items()} == silent, 60)
        assert admin(gw1, "host", "drain", "gw2", "--wait").status == 75
        assert admin(gw1, "host", "drain", "gw2", "--undo").status == 0
    finally:
        for one in pids:
            os.kill(one, signal.SIGCONT)
    eventually(lambda: pair.listed()["gw2"]["state"] == "up" and pair.listed(1)["gw2"]["state"] == "up")
    assert pid == follower(gw2)


def test_the_follower_begins_its_children_again_when_they_were_killed_and_the_log_says_so(pair: Cluster) -> None:
    gw1 = pair.hosts[0]
    for child in set(followers(gw1)) - {follower(gw1)}:
        os.kill(child, signal.SIGKILL)
    log = gw1.root / "log" / "follow.log"
    for what in ("the exchange with the other hosts", "the process that sets disk quotas"):
        eventually(lambda what=what: f"{what} ended; it begins again" in log.read_text())  # type: ignore[misc]
    eventually(lambda: len(followers(gw1)) == PROCESSES)
    hosts = pair.shared / "hosts"
    hosts.rename(pair.shared / "away")
    try:
        eventually(lambda: "No such file" in log.read_text())
        time.sleep(2.5)
        assert log.read_text().count("No such file") == 1, "it is said once"
    finally:
        (pair.shared / "away").rename(hosts)
    eventually(lambda: "exchange what they say again" in log.read_text())


def test_all_hosts_have_the_host_key_that_was_given(pair: Cluster) -> None:
    given = Path(f"{pair.shared.parent}/host_key.pub").read_text().split()[1]
    for host in pair.hosts:
        assert given in (host.root / "known_hosts").read_text()
        told = json.loads((pair.shared / "hosts" / f"{host.root.name}.json").read_text())
        assert told["host_key"] == authorized_keys.fingerprint(given), "from its first start on"
        invited = admin(host, "key", "invite", f"pinned-{host.root.name}", "--json").json
        code = str(invited["code"]).strip().removeprefix(invitations.PREFIX)
        pinned = base64.urlsafe_b64decode(code + "=" * (-len(code) % 4))[64:96]
        assert pinned == base64.b64decode(given)[-32:] and "-F " in str(invited["command"])


def refused(place: Path, *options: str) -> str:
    """What an embedded gateway that does not start says."""
    result = run([str(bindir() / "enc-gateway"), "embedded", str(place / "refused"), *options])
    assert result.status in (64, 75) and len(result.err.splitlines()) == 1, result
    return result.err


def test_an_embedded_gateway_refuses_a_host_key_or_an_address_that_is_none(ground: Path) -> None:
    no_key = ground / "no_key"
    no_key.write_text("nothing\n")
    assert "is not a host key" in refused(ground, "--host-key", str(no_key))
    assert "--listen takes an IP address" in refused(ground, "--listen", "somewhere")
    assert "nothing can listen on 192.0.2.1" in refused(ground, "--listen", "192.0.2.1")
    assert "set all three, or none" in refused(ground, "--set", "cluster.host=gw1")


def test_an_embedded_gateway_listens_where_it_is_told(ground: Path) -> None:
    port = free_port()
    gateway = Gateway(ground / "listening", options=("--listen", "127.0.0.2", "--port", str(port))).start()
    try:
        assert gateway.person("listener").ssh("whoami").status == 0
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port)).close()
    finally:
        assert gateway.stop() == 0
