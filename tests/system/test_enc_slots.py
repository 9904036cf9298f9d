"""`enc` and the ways to unlock: by the agent's key where there is a slot, else by the passphrase; never for another
realm.
"""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent import Agent, blob
from tests.harness import PASSPHRASE, Person, Result, bindir
from tests.laptop import PROMPT, Laptop, laptop
from tests.system.test_slots import CODE, add_key, code_of

NEW = "a brand new passphrase"


@pytest.fixture
def mine(person: Person) -> Iterator[Laptop]:
    """It knows the gateway, and has a project."""
    person.new("p")
    with laptop(person) as made:
        done = made.enc("init", "--host", "gateway", "--json")
        assert done.status == 0, done
        yield made


def added(mine: Laptop) -> None:
    done = mine.enc("slot", "add", "p", "key", stdin=PASSPHRASE + "\n")
    assert done.status == 0 and "added key to p" in done.out, done


def mount(mine: Laptop, *words: str, stdin: str = "", **more: str) -> Result:
    done = mine.enc("mount", "p", "--json", *words, stdin=stdin, **more)
    if done.status == 0:
        assert mine.enc("logout", "--all").status == 0
    return done


def test_init_notes_the_realm_and_a_key_mounts_without_a_question(mine: Laptop) -> None:
    realm = (mine.gateway.vaults / ".realm").read_text().strip()
    assert f'realm = "{realm}"' in (mine.home / ".config" / "enc" / "config.toml").read_text()
    assert mount(mine).status == 64, "before, it needs the passphrase"
    assert mount(mine, stdin=PASSPHRASE + "\n").json["unlocked_by"] == "your passphrase"
    added(mine)
    done = mount(mine)
    assert done.json["unlocked_by"] == f"your SSH key {mine.who.fingerprint}", done
    assert mount(mine, "--passphrase", stdin=PASSPHRASE + "\n").json["unlocked_by"] == "your passphrase"
    said = mine.enc("mount", "p")
    assert f"unlocked by your SSH key {mine.who.fingerprint}" in said.out
    mine.enc("logout", "--all")


def test_slots_and_trash_are_tables_for_people_at_a_terminal(mine: Laptop) -> None:
    mine.who.new("old")
    assert mine.enc("rm", "old", "--yes").status == 0
    terminal = mine.terminal()
    for words, row in (
        ("slots p", r"passphrase  passphrase  \S+  \d+ s ago|just now"),
        ("trash", r"old +(just now|\d+ s ago)"),
    ):
        terminal.send(f"enc {words}\n")
        terminal.expect("\n")
        said = terminal.expect(PROMPT)
        assert re.search(row, said) and not re.search(r"\dT\d\d:", said), said
    terminal.close()
    assert re.search(r"\d{4}-\d\d-\d\dT\d\d:", mine.enc("slots", "p").out), "and for programs, times of RFC 3339"


def test_a_copy_into_a_project_of_a_key_is_continued_without_a_question(mine: Laptop) -> None:
    source, tools = mine.root / "source", mine.root / "broken"
    for made in (source, tools):
        made.mkdir()
    (source / "file").write_text("content")
    (tools / "rsync").write_text("#!/bin/sh\nexit 23\n")
    (tools / "rsync").chmod(0o700)
    path = f"{tools}:{bindir()}:{os.environ['PATH']}"
    done = mine.enc("new", "k", "--key", "--no-recovery", "--from", str(source), PATH=path)
    assert done.status == 73 and f"`enc new k --from {source}` continues" in done.err, done
    done = mine.enc("new", "k", "--from", str(source))
    assert done.status == 0 and "the copy continues" in done.err and "copied and compared" in done.out, done
    again = mine.enc("new", "k", "--from", str(source))
    assert (again.status, again.err) == (73, "enc: you already have a project k\n"), "it is complete"
    refused = mine.enc("new", "k", "--key", "--no-recovery")
    assert (refused.status, refused.err) == (73, "enc: you already have a project k\n"), "and no key signs for it"


def test_another_realm_is_not_signed_for(mine: Laptop) -> None:
    added(mine)
    config = mine.home / ".config" / "enc" / "config.toml"
    text = config.read_text()
    realm = (mine.gateway.vaults / ".realm").read_text().strip()
    config.write_text(text.replace(realm, "0" * 32))
    done = mount(mine, stdin=PASSPHRASE + "\n")
    assert done.json["unlocked_by"] == "your passphrase" and "another realm than at `enc init`" in done.err, done
    assert mine.enc("slot", "add", "p", "key", stdin=PASSPHRASE + "\n").status != 0
    again = mine.enc("init", "--host", "gateway")
    assert again.status == 0 and "was 000" in again.err
    assert mount(mine).status == 0
    config.write_text(text.replace(f'realm = "{realm}"\n', ""))
    done = mount(mine, stdin=PASSPHRASE + "\n")
    assert done.json["unlocked_by"] == "your passphrase" and "enc init" in done.err, done


@pytest.fixture
def agent(mine: Laptop, tmp_path: Path) -> Iterator[Agent]:
    made = Agent(os.urandom(32), tmp_path / "agent")
    tmp_path.chmod(0o755)
    with made.serving():
        yield made


def with_agent(agent: Agent) -> dict[str, str]:
    return {"SSH_AUTH_SOCK": str(agent.socket)}


def add_of_agent(mine: Laptop, agent: Agent) -> Result:
    public = agent.socket.with_name("key.pub")
    public.write_text(f"ssh-ed25519 {base64.b64encode(blob(agent.seed)).decode()} agent@test\n")
    words = ("slot", "add", "p", "key", "--key-file", str(public.with_suffix("")))
    return mine.enc(*words, stdin=PASSPHRASE + "\n", **with_agent(agent))


def test_a_key_that_is_in_the_agent_alone_mounts(mine: Laptop, agent: Agent) -> None:
    done = add_of_agent(mine, agent)
    assert done.status == 0, done
    assert str(mount(mine, **with_agent(agent)).json["unlocked_by"]).startswith("your SSH key")
    assert mount(mine, stdin=PASSPHRASE + "\n").json["unlocked_by"] == "your passphrase", "without the agent"


def test_an_agent_that_signs_differently_each_time_is_named(mine: Laptop, agent: Agent) -> None:
    agent.random = True
    done = add_of_agent(mine, agent)
    assert done.status == 64 and "signs differently each time" in done.err, done
    agent.random = False
    assert add_of_agent(mine, agent).status == 0
    agent.random = True
    done = mount(mine, stdin=PASSPHRASE + "\n", **with_agent(agent))
    assert done.json["unlocked_by"] == "your passphrase" and "signs differently each time" in done.err, done


@pytest.mark.parametrize("how", ["refuses", "vanishes"])
def test_an_agent_that_does_not_sign_is_named_and_the_passphrase_asked(mine: Laptop, agent: Agent, how: str) -> None:
    assert add_of_agent(mine, agent).status == 0
    agent.refuses = how == "refuses"
    agent.vanishes_after = agent.signed
    done = mount(mine, stdin=PASSPHRASE + "\n", **with_agent(agent))
    assert done.status == 0, done
    assert done.json["unlocked_by"] == "your passphrase" and "did not sign" in done.err, done


def test_an_agent_that_vanishes_between_two_signatures_adds_nothing(mine: Laptop, agent: Agent) -> None:
    agent.vanishes_after = 1
    done = add_of_agent(mine, agent)
    assert done.status == 64 and "did not sign" in done.err, done
    assert sorted(path.name for path in (mine.who.vault("p") / "slots").iterdir()) == [
        "passphrase.conf",
        "passphrase.toml",
    ]


def test_a_key_that_is_restricted_to_destinations_is_said(mine: Laptop, tmp_path: Path) -> None:
    """ssh-add -h: OpenSSH's agent signs nothing but logins with it."""
    socket = tmp_path / "openssh"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.DEVNULL)
    try:
        while not socket.exists():
            assert process.poll() is None
        key = tmp_path / "restricted"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
        known = tmp_path / "known"
        known.write_text(f"example.org {Path(f'{key}.pub').read_text()}")
        environment = {**os.environ, "SSH_AUTH_SOCK": str(socket)}
        words = ["ssh-add", "-q", "-H", str(known), "-h", "example.org", str(key)]
        subprocess.run(words, env=environment, check=True)
        key.unlink()
        words = ["slot", "add", "p", "key", "--key-file", str(key)]
        done = mine.enc(*words, stdin=PASSPHRASE + "\n", SSH_AUTH_SOCK=str(socket))
        assert done.status == 64 and "did not sign" in done.err and "ssh-add -h" in done.err, done
    finally:
        process.terminate()
        process.wait(10)


def test_passwd_by_passphrase_and_by_key(mine: Laptop) -> None:
    assert mine.enc("passwd", "p", stdin=f"{PASSPHRASE}\n{NEW}\n").status == 0
    assert mount(mine, stdin=PASSPHRASE + "\n").status == 77
    assert mount(mine, stdin=NEW + "\n").status == 0
    done = mine.enc("slot", "add", "p", "key", stdin=NEW + "\n")
    assert done.status == 0, done
    done = mine.enc("passwd", "p", "--json", stdin=f"{PASSPHRASE}\n")
    assert done.status == 0 and str(done.json["unlocked_by"]).startswith("your SSH key"), done
    assert mount(mine, "--passphrase", stdin=PASSPHRASE + "\n").status == 0


def test_new_by_key_with_a_code_and_recover(mine: Laptop) -> None:
    assert mine.enc("new", "q", "--key").status == 64
    done = mine.enc("new", "q", "--key", "--recovery")
    code = code_of(done)
    assert mine.enc("mount", "q").status == 0 and mine.enc("logout", "--all").status == 0
    listed = json.loads(mine.enc("slots", "q", "--json").out)["slots"]
    assert {each["kind"] for each in listed} == {"ssh-key", "recovery"}
    assert mine.enc("recover", "q", stdin=f"{code.lower()}\n{NEW}\n").status == 0
    assert mine.enc("slot", "rm", "q", "key").status == 64, "it opens nothing without the key that is to go"
    assert mine.enc("slot", "rm", "q", "key", stdin=NEW + "\n").status == 0
    assert CODE.search(done.out)


def test_a_directory_is_copied_into_a_project_that_a_key_unlocks(mine: Laptop, tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "file").write_text("hello")
    done = mine.enc("new", "q", "--key", "--no-recovery", "--from", str(tmp_path / "source"), "--json")
    assert done.status == 0 and done.json["copied"] == 1, done


def test_rename_and_trash(mine: Laptop) -> None:
    assert mine.enc("mv", "p", "q").status == 0
    assert mine.enc("rm", "q", "--yes").status == 0
    assert json.loads(mine.enc("trash", "--json").out)["trash"][0]["project"] == "q"
    assert mine.enc("trash", "restore").status == 64
    assert mine.enc("trash", "restore", "q").status == 0
    assert add_key(mine.who, "q").status == 0


def test_rekey_uses_the_key_where_there_is_one_and_the_key_comes_along(mine: Laptop) -> None:
    done = mine.enc("rekey", "p", "--json", stdin=PASSPHRASE + "\n")
    assert done.status == 0 and done.json["unlocked_by"] == "your passphrase" and done.json["codes"] == [], done
    added(mine)
    done = mine.enc("rekey", "p")
    assert done.status == 0 and len(CODE.findall(done.out)) == 1 and "rekeyed p\n" in done.out, done
    assert "not carried over: passphrase; `enc slot add p KIND`" in done.out and "Passphrase" not in done.err
    assert mount(mine).json["unlocked_by"] == f"your SSH key {mine.who.fingerprint}"
    code = code_of(done)
    done = mine.enc("rekey", "p", "--json")
    (again,) = json.loads(done.out)["codes"]
    assert again["kind"] == "recovery" and again["code"] != code
    assert [event["event"] for event in map(json.loads, done.err.splitlines())] == ["codes"]
    assert mine.enc("recover", "p", stdin=f"{again['code']}\n{NEW}\n").status == 0
    assert mine.enc("rekey", "p", "--discard", "--json").json["discarded"] is False
    with mine.who.mounted("p", NEW):
        done = mine.enc("rekey", "p", "--json")
        assert done.status == 75 and done.json["error"] == "busy", done
