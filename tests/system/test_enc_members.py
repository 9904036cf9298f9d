"""`enc` and a project of several people: two laptops, one project."""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from gateway.identity.names import ProjectName
from gateway.vault import store
from gateway.vault.slots import stored
from gateway.vault.slots.stored import Kind
from tests.harness import PASSPHRASE, Gateway, Person, Result, eventually
from tests.laptop import PROMPT, Laptop, laptop, typed
from tests.system.test_slots import CODE, code_of

_numbers = itertools.count(1)
SOON = 8.0
"""Seconds: what is promised after an end, and the slowness of a busy machine."""


@dataclass(frozen=True)
class Pair:
    """Alice's laptop and bob's, their principals, and the project of alice's that it is about."""

    alice: Laptop
    bob: Laptop
    names: tuple[str, str]
    mine: str = ""

    @property
    def plan(self) -> str:
        """What bob calls it."""
        return f"{self.names[0]}/{self.mine}"

    def invite(self, *flags: str) -> str:
        done = self.alice.enc("share", self.mine, self.names[1], *flags, stdin=PASSPHRASE + "\n")
        assert done.status == 0 and f"enc accept {self.plan}" in done.out, done
        return code_of(done)

    def accept(self, code: str, *words: str, **more: str) -> Result:
        return self.bob.enc("accept", self.plan, *words, stdin=code + "\n", **more)

    def join(self, *flags: str) -> None:
        done = self.accept(self.invite(*flags))
        assert done.status == 0, done

    @property
    def holders(self) -> list[str]:
        return [str(one["principal"]) for all_ in self.alice.gateway.sessions() for one in all_["holders"]]  # type: ignore[attr-defined]


def known(who: Person) -> contextlib.AbstractContextManager[Laptop]:
    """A laptop that knows the gateway, and its realm."""

    @contextlib.contextmanager
    def made() -> Iterator[Laptop]:
        with laptop(who) as one:
            done = one.enc("init", "--host", "gateway", "--json")
            assert done.status == 0, done
            yield one

    return made()


@pytest.fixture(scope="module")
def laptops(gateway: Gateway) -> Iterator[Pair]:
    names = ("alice", "bob")
    alice, bob = (gateway.person(f"m-{os.getpid()}-{name}", name) for name in names)
    with known(alice) as hers, known(bob) as his:
        yield Pair(hers, his, names)


@pytest.fixture
def pair(laptops: Pair) -> Iterator[Pair]:
    """A project of alice's, which nobody knows of yet."""
    made = replace(laptops, mine=f"plan{next(_numbers)}")
    laptops.alice.who.new(made.mine)
    yield made
    if made.plan in [row["name"] for row in json.loads(made.bob.enc("ls", "--json").out)["projects"]]:
        assert made.bob.enc("leave", made.plan).status == 0
    for one in (made.alice, made.bob):
        for project in list(one.state.mounts):
            assert one.enc("unmount", project).status == 0


def test_two_people_work_in_one_project_and_each_leaves_without_disturbing_the_other(pair: Pair) -> None:
    alice, bob = pair.alice, pair.bob
    code = pair.invite()
    rows = json.loads(bob.enc("ls", "--json").out)["projects"]
    assert [(row["name"], row["state"], row["role"]) for row in rows] == [(pair.plan, "invited", "writer")], rows
    terminal = bob.terminal()
    assert f"`enc accept {pair.plan}`" in typed(terminal, "enc ls")
    terminal.send(f"enc accept {pair.plan}\n")
    terminal.expect(f"Code of the invitation to {pair.plan}: ")
    terminal.send(code + "\n")
    terminal.expect(f"you are a writer of {pair.plan}; your SSH key {bob.who.fingerprint} unlocks it")
    terminal.expect(PROMPT)
    assert code not in terminal.seen

    there, here = bob.mount(pair.plan), alice.mount(pair.mine)
    assert there == bob.home / "enc" / pair.names[0] / pair.mine
    (there / "from-bob").write_text("b")
    (here / "from-alice").write_text("a")
    assert (here / "from-bob").read_text() == "b"
    eventually(lambda: (there / "from-alice").exists(), SOON)
    assert bob.enc("run", pair.plan, "--", "cat", "from-alice").out == "a"
    assert bob.enc("touch", pair.plan).status == 0
    assert re.search(rf"(?m)^{pair.plan} +\S+ +watched|^{pair.plan} is mounted at", bob.enc("status").out)
    said = typed(terminal, "enc status")
    assert re.search(rf"(?m)^{pair.plan} +~/enc/{pair.plan} ", said) and "joined by this machine" in said, said
    assert re.search(rf"(?m)^also in: {pair.names[0]} \(owner\) from ", said), said
    shown = typed(alice.terminal(), f"enc share {pair.mine}")
    assert re.search(rf"(?m)^{pair.names[1]} +writer +since .*, has it unlocked$", shown), shown
    assert re.search(rf"(?m)^{pair.plan} +unlocked +- .*writer$", typed(terminal, "enc ls"))
    assert sorted(set(pair.holders)) == sorted(pair.names)
    done = bob.enc("unmount", pair.plan)
    assert done.out == f"unmounted {pair.plan}; it stays unlocked for others who have it\n", done
    assert not (bob.home / "enc" / pair.names[0]).exists()
    assert (here / "from-alice").read_text() == "a"
    assert bob.enc("run", pair.plan, "--", "ls").status == 69

    assert bob.mount(pair.plan) == there
    assert alice.enc("unmount", pair.mine).out == f"unmounted {pair.mine}; it stays unlocked for others who have it\n"
    assert (there / "from-bob").read_text() == "b"
    assert alice.enc("unmount", pair.mine, "--all").out == f"locked {pair.mine} for all who had it\n"
    eventually(lambda: not bob.state.mounts and not bob.entries(), SOON)
    terminal.close()


@pytest.mark.parametrize("alone", [True, False])
def test_what_is_not_shared_any_more_goes_and_one_line_says_why(pair: Pair, alone: bool) -> None:
    alice, bob = pair.alice, pair.bob
    pair.join()
    own_name = f"own{next(_numbers)}"
    bob.who.new(own_name)
    terminal = bob.terminal()
    own = bob.mount_in(terminal, own_name)
    assert "is mounted at" in typed(terminal, f"enc mount {pair.plan}")
    here = None if alone else alice.mount(pair.mine)
    done = alice.enc("unshare", pair.mine, pair.names[1])
    assert done.status == 0 and "no access" in done.out, done
    at = bob.home / "enc" / pair.plan
    why = f"enc: {pair.plan} is no longer mounted at {at}: {pair.names[0]} does not share it with you any more; "
    said = terminal.expect(why, SOON) + terminal.expect("\n")
    eventually(lambda: pair.plan not in bob.state.mounts and not at.exists(), SOON)
    assert ("not for others" in said) is not alone, said
    assert (own / "still").write_text("here") and own in [Path(each.path) for each in bob.entries()]
    assert here is None or (here / "still").write_text("here")
    assert bob.enc("mount", pair.plan).status == 66
    terminal.close()
    assert terminal.seen.count("no longer mounted") == 1


def test_a_reader_s_mount_is_read_only(pair: Pair) -> None:
    pair.join("--read")
    (pair.alice.mount(pair.mine) / "file").write_text("x")
    done = pair.bob.enc("mount", pair.plan, "--json")
    assert done.status == 0 and done.json["read_only"] is True, done
    there = Path(str(done.json["directory"]))
    assert (there / "file").read_text() == "x"
    for change in (
        lambda: (there / "new").touch(),
        lambda: (there / "file").write_text("y"),
        lambda: (there / "file").unlink(),
        lambda: (there / "d").mkdir(),
    ):
        with pytest.raises(OSError) as refused:
            change()
        assert refused.value.errno == errno.EROFS
    assert pair.bob.enc("unmount", pair.plan).status == 0


def test_a_code_that_is_not_the_one_opens_nothing(pair: Pair) -> None:
    alice, bob = pair.alice, pair.bob
    used = pair.invite()
    assert pair.accept(used).status == 0
    assert bob.enc("leave", pair.plan).status == 0
    good = pair.invite()
    alice.gateway.person(f"m-{os.getpid()}-carol", "carol")
    carols = code_of(alice.enc("share", pair.mine, "carol", stdin=PASSPHRASE + "\n"))
    for code, status in ((good[:-1] + ("A" if good[-1] != "A" else "B"), 64), (used, 77), (carols, 77)):
        done = pair.accept(code)
        assert done.status == status and not CODE.search(done.err) and done.err.count("\n") == 1, done
    assert bob.enc("mount", pair.plan).status == 64, "still invited only"
    assert pair.accept(good).status == 0


def expire(path: Path) -> None:
    """The invitations to the project, as if their time were over."""
    vault = store.Vault(name=ProjectName(path.name), path=str(path))
    vault_id = store.identity(vault)
    for slot in stored.load(vault.name, vault.slots, vault_id):
        if slot.kind is Kind.INVITATION:
            config = stored.load_config(vault.name, vault.slots, slot.name, vault_id)
            over = slot.replace(expires="2020-01-01T00:00:00Z").bound(vault_id, config)
            Path(stored.description_path(vault.slots, slot.name)).write_text(over.dump())


def test_what_can_be_checked_is_checked_before_a_secret_is_asked_for(pair: Pair) -> None:
    alice, bob = pair.alice, pair.bob
    for done, status, words in (
        (alice.enc("share", pair.mine, "nobody"), 64, "nobody here is called nobody"),
        (alice.enc("share", "none", pair.names[1]), 66, "no project none"),
        (alice.enc("share", pair.mine, pair.names[0]), 64, "that is you"),
        (alice.enc("share", pair.mine, pair.names[1], "--days", "1000"), 64, "--days"),
        (alice.enc("share", pair.mine, "--read"), 64, "name whom you invite"),
        (bob.enc("accept", pair.plan), 66, "no project"),
        (bob.enc("accept", "plan"), 64, "OWNER/PROJECT"),
        (bob.enc("leave", pair.plan), 66, "no project"),
        (bob.enc("unshare", pair.plan, "x"), 66, "no project"),
        (bob.enc("mount", pair.plan), 66, "what is shared with you"),
        (bob.enc("new", "alice/x"), 64, "without a slash"),
        (bob.enc("mount", "../x"), 64, "not a project name"),
        (alice.enc("mount", pair.plan), 64, "leave out the owner"),
    ):
        assert done.status == status and words in done.err and "Traceback" not in done.err, (words, done)
    code = pair.invite()
    expire(alice.gateway.vaults / f"u-{pair.names[0]}" / pair.mine)
    done = bob.enc("accept", pair.plan)
    assert done.status == 64 and "the invitation has expired; ask" in done.err, done
    assert pair.accept(code).status == 64
    pair.join()
    done = bob.enc("accept", pair.plan)
    assert done.status == 64 and "a member of" in done.err, done
    done = alice.enc("share", pair.mine, pair.names[1])
    assert done.status == 64 and f"is a member of {pair.mine} already" in done.err, done


def test_without_a_key_or_when_that_is_said_a_passphrase_unlocks_it(pair: Pair) -> None:
    secret = "what bob chose for it"
    config = pair.bob.root / "ssh_config"
    config.write_text(f"Host gateway\nIdentityFile {pair.bob.who.key}\n{pair.bob.gateway.ssh_config.read_text()}")
    with laptop(pair.bob.who) as other:  # which logs in by a key that enc does not know of
        done = other.enc(
            *("accept", pair.plan), stdin=f"{pair.invite()}\n{secret}\n", ENC_IDENTITY="", ENC_SSH_CONFIG=str(config)
        )
    assert done.status == 0 and "no Ed25519 key" in done.err and "your passphrase unlocks it" in done.out, done
    assert pair.bob.enc("leave", pair.plan).status == 0
    assert pair.accept(f"{pair.invite()}\nshort", "--passphrase").status == 64
    done = pair.accept(f"{pair.invite()}\n{secret}", "--passphrase")
    assert done.status == 0 and "your passphrase unlocks it" in done.out, done
    slots = pair.bob.enc("slots", pair.plan, "--json").json["slots"]
    assert [one["kind"] for one in slots] == ["passphrase"]  # type: ignore[attr-defined]
    done = pair.bob.enc("mount", pair.plan, "--json", stdin=secret + "\n")
    assert done.json["unlocked_by"] == "your passphrase", done


def test_leaving_writes_back_first_and_gives_the_project_up(pair: Pair) -> None:
    pair.join()
    assert pair.alice.enc("share", pair.mine, "--json").json["members"][1]["member"] == pair.names[1]  # type: ignore[index]
    there = pair.bob.mount(pair.plan)
    with (there / "open").open("w") as file:
        file.write("x")
        file.flush()
        done = pair.bob.enc("leave", pair.plan)
        assert done.status == 75 and "in use" in done.err, done
        assert pair.bob.enc("ls", "--json").json["projects"]
    done = pair.bob.enc("leave", pair.plan)
    assert done.out == f"you have left {pair.plan}; {pair.names[0]} can invite you again\n", done
    assert pair.plan not in pair.bob.enc("ls").out and not there.exists()
    assert (pair.alice.mount(pair.mine) / "open").read_text() == "x"
