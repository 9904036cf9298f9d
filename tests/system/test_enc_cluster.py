"""`enc` in front of two hosts of a cluster: it goes to the host that has a project by itself."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.base.process import wait_readable
from gateway.cluster import places
from tests.harness import PASSPHRASE, Gateway, Held, Person, eventually, run
from tests.hosts import Cluster, cluster, followers
from tests.laptop import Laptop, laptop, typed

GONE_SECONDS = 60.0
"""Until a project of a host that has died is mounted on the other."""


@pytest.fixture(scope="module")
def hosts(ground: Path) -> Iterator[Cluster]:
    with cluster(ground) as both:
        yield both


@pytest.fixture(scope="module")
def who(hosts: Cluster) -> Person:
    _, made = hosts.person("dev")  # whose ssh leads to the second host
    made.new("parser")
    made.new("lexer")
    return made


@pytest.fixture
def machine(who: Person) -> Iterator[Laptop]:
    """Its gateway is the second host."""
    with laptop(who) as made:
        yield made


@pytest.fixture
def held(hosts: Cluster, who: Person) -> Iterator[Held]:
    """`parser` is unlocked on the first host, by another machine, and the second knows it."""
    with replace(who, gateway=hosts.one).mounted("parser") as session:
        wait_until_known(who, "parser")
        yield session
    eventually(lambda: who.ssh("challenge", "parser", "--json").status == 0)


def wait_until_known(who: Person, project: str) -> None:
    eventually(lambda: who.ssh("challenge", project, "--json").status == 75)


GOES = "parser is unlocked on gw1: connecting there"


@pytest.mark.usefixtures("held")
def test_mount_goes_to_the_host_that_has_the_project_and_unmount_finds_it_again(machine: Laptop) -> None:
    done = machine.enc("mount", "parser", "--json", stdin=PASSPHRASE + "\n")
    assert done.status == 0, done
    assert done.err.count(GOES) == 1
    assert done.json["host"] == "gw1"
    directory = Path(str(done.json["directory"]))
    (directory / "file").write_text("through gw1\n")
    there = machine.enc("run", "parser", "--", "cat", "file")
    assert (there.out, there.err) == ("through gw1\n", ""), "it is known where it is"
    assert "gw1" in machine.enc("status").out
    about = machine.enc("status", "--json").json["mounts"]
    assert [(one["project"], one["host"], one["condition"]) for one in about] == [("parser", "gw1", "watched")]  # type: ignore[attr-defined]
    assert "parser is mounted at ~/enc/parser on gw1" in machine.enc().out
    inside = run([*machine.environment(), "sh", "-c", f"cd {directory} && exec enc run -- cat file"])
    assert (inside.out, inside.err) == ("through gw1\n", "")
    completing = {"_ENC_COMPLETE": "bash_complete", "COMP_WORDS": "enc unmount p", "COMP_CWORD": "2"}
    assert "parser" in machine.enc(**completing).out
    listing = {**completing, "COMP_WORDS": "enc slots le"}
    assert "lexer" in machine.enc(**listing).out, "asked over the connection that there is"
    again = machine.enc("mount", "parser")
    assert again.status == 73 and "already mounted" in again.err
    unmounted = machine.enc("unmount", "parser")
    assert (unmounted.status, unmounted.err) == (0, "")
    assert "stays unlocked for others" in unmounted.out


@pytest.mark.usefixtures("held")
def test_each_command_that_needs_the_unlocked_project_goes_there(machine: Laptop, tmp_path: Path) -> None:
    source = tmp_path / "tree"
    source.mkdir()
    (source / "file").write_text("pushed\n")
    hello = machine.enc("run", "parser", "--", "echo", "hello")
    assert (hello.status, hello.out) == (0, "hello\n") and GOES in hello.err
    failing = machine.enc("run", "parser", "--", "sh", "-c", "echo once; exit 75")
    assert (failing.status, failing.out) == (75, "once\n"), "its own exit status sends it nowhere"
    assert machine.enc("run", "parser", "--", "cat", stdin="typed\n").out == "typed\n", "and its input is not lost"
    assert machine.enc("shell", "parser", stdin="echo shell\n").out == "shell\n"
    touched = machine.enc("touch", "parser", "--json")
    assert touched.json == {"project": "parser", "touched": True}
    for words in (
        ("push", str(source), "parser:there"),
        ("cp", "parser:there/file", "parser:there/copy"),
        ("pull", "parser:there", str(tmp_path / "back")),
    ):
        done = machine.enc(*words, stdin=PASSPHRASE + "\n")
        assert done.status == 0 and GOES in done.err, (words, done)
    assert (tmp_path / "back" / "copy").read_text() == "pushed\n"
    listed = machine.enc("ls").out
    assert "unlocked on gw1" in listed
    assert machine.enc("mv", "parser", "other").status == 75


@pytest.mark.usefixtures("held")
def test_a_workspace_is_reached_there_by_enc_and_by_ssh(machine: Laptop) -> None:
    done = machine.enc("workspace", "parser", "--", "echo", "inside")
    assert (done.status, done.out) == (0, "inside\n"), done
    assert machine.enc("ssh-config", "parser").status == 0


@pytest.mark.usefixtures("held")
def test_what_came_on_standard_input_is_not_lost_in_silence(machine: Laptop) -> None:
    """enc learns that there are several hosts when a command was refused, which may have read its input."""
    first = run_with_late_input(machine, "run", "parser", "--", "cat")
    assert first[0] == 75 and "standard input is lost; say it again" in first[2], first
    second = run_with_late_input(machine, "run", "parser", "--", "cat")
    assert second[:2] == (0, "late\n"), second


def run_with_late_input(machine: Laptop, *words: str) -> tuple[int, str, str]:
    """With standard input that is open when enc begins."""
    pipe = subprocess.PIPE
    with subprocess.Popen([*machine.environment(), "enc", *words], stdin=pipe, stdout=pipe, stderr=pipe) as child:
        time.sleep(1)
        out, err = child.communicate(b"late\n", timeout=30)
        return child.returncode, out.decode(), err.decode()


@pytest.mark.usefixtures("held")
def test_two_terminals_with_projects_on_two_hosts_do_not_disturb_each_other(machine: Laptop) -> None:
    one, two = machine.terminal(), machine.terminal()  # the laptop ends the first one if the test does not
    try:
        for terminal, project in ((one, "parser"), (two, "lexer")):
            terminal.send(f"enc mount {project}\n")
            terminal.expect(f"Passphrase of {project}: ")
            terminal.send(PASSPHRASE + "\n")
            terminal.expect("ready> ")
        assert sorted(mounted(machine)) == [("lexer", ""), ("parser", "gw1")]
        assert "gw1" in typed(two, "enc status")
        one.close()
        eventually(lambda: mounted(machine) == [("lexer", "")])
        assert (machine.home / "enc" / "lexer").is_mount()
        assert typed(two, "enc logout --all").strip().endswith("logged out of gateway")
        assert mounted(machine) == []
    finally:
        two.close()


def mounted(machine: Laptop) -> list[tuple[str, str]]:
    """What is mounted, and on which host."""
    about = machine.enc("status", "--json")
    assert about.status == 0, about
    return [(one["project"], one.get("host", "")) for one in about.json["mounts"]]  # type: ignore[attr-defined]


@pytest.mark.usefixtures("held")
def test_a_stranger_at_that_address_is_sent_nothing(hosts: Cluster, machine: Laptop, gateway: Gateway) -> None:
    with known_at(hosts, f"127.0.0.1:{gateway.ready['port']}"):
        before = len(gateway.audit())
        done = machine.enc("mount", "parser", stdin=PASSPHRASE + "\n")
    assert done.status == 76
    assert done.err.splitlines()[-1].startswith("enc: the host key of gw1 (127.0.0.1:")
    assert "which sent enc there; nothing was sent to it" in done.err
    assert len(gateway.audit()) == before


@pytest.mark.usefixtures("held")
def test_where_nothing_answers_there_one_line_says_what_to_do(hosts: Cluster, machine: Laptop) -> None:
    with known_at(hosts, "127.0.0.1:1"):
        done = machine.enc("touch", "parser")
    assert done.status == 75
    assert "nothing answers at 127.0.0.1 port 1; try again: if gw1 has died, another host" in done.err


@pytest.mark.usefixtures("held")
def test_an_address_that_ssh_would_take_for_an_option_is_no_address(hosts: Cluster, machine: Laptop) -> None:
    with known_at(hosts, "-oProxyCommand=touch /tmp/x:22"):
        done = machine.enc("mount", "parser", stdin=PASSPHRASE + "\n")
    assert done.status == 75 and "connecting" not in done.err
    assert done.err.startswith("enc: parser is unlocked on gw1")


@pytest.mark.usefixtures("held")
def test_a_host_that_is_drained_leads_to_one_that_is_not(hosts: Cluster, machine: Laptop) -> None:
    with drained(hosts):
        for project in ("parser", "lexer"):
            done = machine.enc("mount", project, "--json", stdin=PASSPHRASE + "\n")
            assert done.status == 0, done
            assert done.err.count("this host is drained: connecting there\n") == 1 and done.json["host"] == "gw1"
        assert machine.enc("run", "lexer", "--", "echo", "hello").out == "hello\n"
        hello = machine.enc("new", "other", stdin=f"{PASSPHRASE}\n")
        assert hello.status == 0 and "connecting there" in hello.err, hello


@contextlib.contextmanager
def drained(hosts: Cluster) -> Iterator[None]:
    """The second host is, for the length of the block."""
    mark = hosts.shared / places.DRAINED / hosts.two.name
    mark.touch()
    try:
        eventually((hosts.two.copy / places.DRAINED).exists)
        yield
    finally:
        mark.unlink()
        eventually(lambda: not (hosts.two.copy / places.DRAINED).exists())


def test_where_nothing_says_so_nothing_is_asked_besides(gateway: Gateway, person: Person, project: str) -> None:
    with laptop(person) as machine, person.mounted(project):
        before = len(gateway.events("request", fingerprint=person.fingerprint))
        assert machine.enc("run", project, "--", "true").status == 0
        assert machine.enc("touch", project).status == 0
        assert machine.enc("run", project, "--", "sh", "-c", "exit 3").status == 3
        assert len(gateway.events("request", fingerprint=person.fingerprint)) == before + 3


@contextlib.contextmanager
def known_at(hosts: Cluster, address: str) -> Iterator[None]:
    """What the second host knows of the first has this address, for the length of the block."""
    stopped = followers(hosts.two)
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        path = hosts.two.copy / places.COPIED_HOSTS
        known = json.loads(path.read_text())
        for one in known["hosts"]:
            if one["record"]["host"] == hosts.one.name:
                one["record"]["address"] = address
        path.write_text(json.dumps(known))
        yield
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)


def said(held: Held) -> str:
    """What it says on standard error now."""
    assert held.process.stderr
    ready = wait_readable(held.process.stderr.fileno(), 0.1)
    return os.read(held.process.stderr.fileno(), 4096).decode() if ready else ""


def test_a_project_of_a_host_that_died_is_mounted_on_the_other_as_soon_as_that_may(
    hosts: Cluster, machine: Laptop, who: Person
) -> None:
    """The last test of this module: one host is gone."""
    there = replace(who, gateway=hosts.one)
    with there.mounted("parser"), there.mounted("lexer"):
        eventually(lambda: unlocked(who) == {"parser": "gw1", "lexer": "gw1"})
        directory = machine.mount("parser")
        (directory / "file").write_text("before\n")
        hosts.one.freeze()
        eventually(lambda: not machine.entries())
        words = [*machine.environment(), "enc", "mount", "parser", "--json"]
        waits = Held(words, PASSPHRASE + "\n")
        try:
            eventually(lambda: "waiting for at most 60 s" in said(waits))
            assert waits.process.poll() is None
            hosts.one.die()
            done = waits.wait(GONE_SECONDS)
        finally:
            waits.end()
    assert done.status == 0, done
    assert "host" not in done.json
    assert (directory / "file").read_text() == "before\n"
    eventually(lambda: unlocked(who) == {"parser": ""})  # a host that is silent is not believed


def unlocked(who: Person) -> dict[str, str]:
    """What `ls` says is unlocked, and on which other host."""
    found = json.loads(who.ssh("ls", "--json").out)["projects"]
    return {one["name"]: one.get("host", "") for one in found if one["state"] == "unlocked"}
