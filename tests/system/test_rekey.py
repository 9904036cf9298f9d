"""A project gets a new master key, on a real gateway: exact, resumable, in one step; nobody else's way in is kept."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.base import toml
from gateway.identity.names import Principal, ProjectName
from gateway.vault import store
from gateway.vault.slots import change, invitation
from gateway.vault.slots.change import Opened
from gateway.vault.slots.stored import Kind, Role, Slot
from gateway.vault.store import Vault
from tests import trees
from tests.agent import Agent, blob
from tests.harness import PASSPHRASE, Gateway, Held, Person, Result, Terminal, admin, eventually
from tests.system.test_revocation import without
from tests.system.test_slots import CODE, add_key, by_key, challenge, code_of, namespace, one_line, opens, sign
from tests.system.test_why import why

LINE = PASSPHRASE + "\n"


@pytest.fixture
def who(person: Person) -> Person:
    person.new("p")
    return person


def vault_of(path: Path) -> Vault:
    return Vault(name=ProjectName("p"), path=str(path))


def identity(path: Path) -> str:
    return store.identity(vault_of(path))


def draft(who: Person) -> Path:
    return who.vault(".rekey-p")


def slots(who: Person) -> list[tuple[str, str, str]]:
    listed = json.loads(who.ssh("slots", "p", "--json").out)["slots"]
    return [(each["slot"], each["kind"], each["role"]) for each in listed]


def workers(who: Person) -> list[int]:
    """The processes of ours that copy; bubblewrap and the guard of the sandbox have the same words."""
    return [
        pid
        for pid, args in who.gateway.processes().items()
        if "inside/rekeying.py" in args and not _is_above(pid, args)
    ]


def _is_above(pid: int, args: str) -> bool:
    if "bwrap" in args:
        return True
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        return status["NSpid"].split()[-1] == "1"
    return True


def is_at_work(who: Person) -> bool:
    return any("inside/rekeying.py" in args for args in who.gateway.processes().values())


def front(who: Person) -> int:
    """The front that rekeys, 0 for none."""
    return next((pid for pid, args in who.gateway.processes().items() if "rshell" in args and " -c " not in args), 0)


def entries(top: Path) -> int:
    """What is below `top`, which changes meanwhile."""
    return sum(len(directories) + len(names) for _, directories, names in os.walk(top))


@contextlib.contextmanager
def rekeying(who: Person, stdin: str = LINE, *, copied: int = 1) -> Iterator[Held]:
    """`rekey p`, whose worker is stopped as soon as it has made `copied` entries, for the length of the block."""
    held = who.hold("rekey", "p", stdin=stdin)
    try:
        (worker,) = eventually(lambda: found if len(found := workers(who)) == 1 else [])  # two while it begins
        cipher = draft(who) / "cipher"
        deadline = time.monotonic() + 30
        while entries(cipher) < copied and time.monotonic() < deadline:
            time.sleep(0.002)
        os.kill(worker, signal.SIGSTOP)
        yield held
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker, signal.SIGCONT)
    finally:
        held.end()
        eventually(lambda: not is_at_work(who))


def again(who: Person, stdin: str = LINE) -> Result:
    """`rekey p`, once what was interrupted has ended."""
    done = who.ssh("rekey", "p", stdin=stdin)
    while done.status == 75 and "is being rekeyed" in done.err:
        time.sleep(0.1)
        done = who.ssh("rekey", "p", stdin=stdin)
    return done


def unchanged(who: Person, old: str, content: dict[str, object] | None = None) -> None:
    """The project is what it was; and no plaintext and no process is left of the copy."""
    eventually(lambda: not is_at_work(who))
    assert identity(who.vault("p")) == old
    assert opens(who, "p", LINE)
    assert content is None or trees.describe(who.gateway, who.vault("p")) == content


def test_a_project_with_odd_files_comes_out_as_it_went_in_with_another_key(who: Person) -> None:
    gateway, vault = who.gateway, who.vault("p")
    trees.make(gateway, vault, trees.ODD)
    assert who.ssh("idle", "p", "77").status == 0
    before, old = trees.describe(gateway, vault), identity(vault)
    holes = str(before.pop("hole"))
    (slot,) = store.check(vault_of(vault), is_copy=True)
    done = who.ssh("rekey", "p", "--json", stdin=LINE)
    assert done.status == 0, done
    after = trees.describe(gateway, vault)
    hole, content = after.pop("hole"), {path: fields for path, fields in after.items() if fields != before.get(path)}
    assert after.keys() == before.keys() and not content
    # gocryptfs tells the end of what is no hole to a block or two
    assert isinstance(hole, list) and re.sub(r"4194304, \d+", "4194304, N", str(hole)) == re.sub(
        r"4194304, \d+", "4194304, N", holes
    )
    assert hole[3] < 100, "of 8192 blocks"
    assert done.json == {
        **{"project": "p", "rekeyed": True, "continued": False, "files": len(before)},
        **{"kinds": ["passphrase"], "dropped": [], "invited": []},
    }
    events = [json.loads(line) for line in done.err.splitlines() if line.startswith("{")]
    assert {each["event"] for each in events} == {"progress"}
    assert {each["phase"] for each in events} == {"copying", "comparing"}
    (now,) = store.check(vault_of(vault), is_copy=True)
    assert identity(vault) != old and now.id != slot.id and now.kind is Kind.PASSPHRASE
    about = toml.parse((vault / "vault.toml").read_text())
    assert (about["idle"].value, about["replaced"].value) == (77, old)
    assert sorted(os.listdir(vault.parent)) == [".trash", "p"]
    (trashed,) = (vault.parent / ".trash").iterdir()
    assert json.loads(who.ssh("trash", "--json").out)["trash"][0]["project"] == "p"
    for config, cipher, works in ((trashed, trashed, True), (vault, trashed, False), (trashed, vault, False)):
        words = ["gocryptfs", "-fsck", "-q", "-nosyslog", "-config", str(config / "slots/passphrase.conf")]
        done = gateway.as_account(*words, str(cipher / "cipher"), stdin=LINE)
        assert (done.status == 0) is works or (works and done.status == 26), done
    (begun,) = gateway.events("rekey-begun", fingerprint=who.fingerprint)
    (ended,) = gateway.events("rekeyed", fingerprint=who.fingerprint)
    assert (begun["project"], begun["kind"], begun["with_slot"], begun["continued"]) == (
        *("p", "passphrase", "passphrase", False),
    )
    assert (ended["kinds"], ended["dropped"], ended["invited"]) == (["passphrase"], 0, 0)
    assert "closed_d" not in Path(str(gateway.ready["audit"])).read_text()


def building(who: Person) -> bool:
    return any(name.startswith(".new-.rekey-p") for name in os.listdir(who.vault("p").parent))


def has_copied(count: int) -> Callable[[Person], bool]:
    def reached(who: Person) -> bool:
        return len([1 for _, _, names in os.walk(draft(who) / "cipher") for _ in names]) >= count

    return reached


def has_codes(who: Person) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return len(os.listdir(draft(who) / "slots")) > 2 or any(
            name.startswith(".new-slots") for name in os.listdir(draft(who))
        )
    return False


def is_sealed(who: Person) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return "rekeys" not in (draft(who) / "vault.toml").read_text()
    return False


FILES = 150
KILL, DROP = "kill -9", "the connection"
STEPS = [
    (building, KILL),
    (lambda who: draft(who).exists(), DROP),
    (has_copied(FILES // 3), KILL),
    (has_copied(FILES // 2), DROP),
    (has_copied(FILES), KILL),
    (has_codes, KILL),
    (is_sealed, KILL),
]


def test_killed_at_each_step_it_leaves_one_whole_project_and_is_continued(who: Person) -> None:
    """Each round is killed when the disk shows its step, and the next continues what it left."""
    gateway, vault = who.gateway, who.vault("p")
    trees.make(gateway, vault, trees.MANY, str(FILES))
    code_of(who.ssh("slot", "add", "p", "recovery", stdin=LINE))
    content, old = trees.describe(gateway, vault), identity(vault)
    for reached, way in STEPS:
        held = who.hold("rekey", "p", stdin=LINE)
        try:
            pid = eventually(lambda: front(who))
            while held.process.poll() is None and not reached(who):
                time.sleep(0.0005)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid if way == KILL else held.process.pid, signal.SIGKILL)
            eventually(lambda: not is_at_work(who))
        finally:
            held.end()
        assert store.names(str(vault.parent)) == ("p",)
        assert trees.describe(gateway, vault) == content
    if identity(vault) == old or draft(who).exists():
        done = again(who)
        assert done.status == 0 and ("continuing" in done.err or "was rekeyed already" in done.out), done
    assert identity(vault) != old and trees.describe(gateway, vault) == content and opens(who, "p", LINE)
    assert sorted(kind for _, kind, _ in slots(who)) == ["passphrase", "recovery"]
    assert len(gateway.events("rekey-begun", fingerprint=who.fingerprint, continued=True)) >= len(STEPS) - 3
    left = [name for name in sorted(os.listdir(vault.parent)) if not name.startswith(".new-")]  # cleared by sweep
    assert left == [".trash", "p"]
    assert len(list((vault.parent / ".trash").iterdir())) == 1


def test_what_an_exchange_left_beside_is_cleared_by_the_same_words(who: Person) -> None:
    """Killed between the exchange and the trash, which is a moment: that state is made by hand."""
    assert who.ssh("rekey", "p", stdin=LINE).status == 0
    now = identity(who.vault("p"))
    (trashed,) = (who.vault("p").parent / ".trash").iterdir()
    trashed.rename(draft(who))
    one_line(who.ssh("rekey", "p", "--discard"), 73, "is rekeyed already")
    done = who.ssh("rekey", "p", stdin=LINE)
    assert done.status == 0 and "was rekeyed already by a call that was interrupted" in done.out, done
    assert identity(who.vault("p")) == now and not draft(who).exists()
    assert len(who.ssh("trash").out.splitlines()) == 2
    assert who.gateway.events("rekeyed", fingerprint=who.fingerprint, continued=True)
    (trashed,) = (who.vault("p").parent / ".trash").iterdir()
    trashed.rename(draft(who))
    (draft(who) / "vault.toml").write_text("?")
    done = who.ssh("rekey", "p", stdin=LINE)
    assert done.status == 0 and "starting again" in done.err, done
    assert len(who.ssh("trash").out.splitlines()) == 3, "what is not known to be a draft is kept"


def test_what_changes_between_two_calls_is_in_the_new_vault_and_another_way_begins_anew(who: Person) -> None:
    gateway, vault = who.gateway, who.vault("p")
    trees.make(gateway, vault, trees.MANY, "200")
    code = code_of(who.ssh("slot", "add", "p", "recovery", stdin=LINE))
    with rekeying(who, copied=100):
        pass
    with who.mounted("p"):
        words = "'rm 0/f1; echo new >0/f2; mv 100 moved; mkdir 0/f1; ln -s x 0/l'"
        assert who.ssh("run", "p", "--", "sh", "-c", words).status == 0
    eventually(lambda: not gateway.leftovers())
    before = trees.describe(gateway, vault)
    done = again(who, code + "\n")
    assert done.status == 0 and "cannot be continued with this: starting again" in done.err, done
    assert not CODE.search(done.out), "the code that opened it opens the new one too"
    assert "not carried over: passphrase\n" in done.out and "slot add p" in done.out
    assert [kind for _, kind, _ in slots(who)] == ["recovery"]
    assert who.ssh("recover", "p", stdin=f"{code}\n{PASSPHRASE}\n").status == 0
    assert trees.describe(gateway, vault) == before
    with rekeying(who, copied=100):
        pass
    with who.mounted("p"):
        assert who.ssh("run", "p", "--", "sh", "-c", "'rm -r moved; echo x >y'").status == 0
    eventually(lambda: not gateway.leftovers())
    before = trees.describe(gateway, vault)
    done = again(who)
    assert done.status == 0 and "continuing" in done.err, done
    assert trees.describe(gateway, vault) == before


# ways in


def along(who: Person, key: Path | None = None, text: str = "", socket: Path | None = None) -> str:
    """What an SSH key hands in to rekey: the signature that unlocks, a new challenge, and two signatures of that."""
    new = text or challenge(who, "p", "--rekey")
    return by_key(who, "p") + new + "".join(sign(new, key or who.key, namespace(who), socket) for _ in range(2))


def test_an_ssh_key_comes_along_and_continues_with_the_same_input(who: Person) -> None:
    assert add_key(who, "p").status == 0
    trees.make(who.gateway, who.vault("p"), trees.MANY, "300")
    stranger, old = who.gateway.person("stranger2"), identity(who.vault("p"))
    one_line(who.ssh("rekey", "p", stdin=along(who, key=stranger.key)), 64, "by another key")
    one_line(who.ssh("rekey", "p", stdin=along(who, text=challenge(who, "p", "--new"))), 64, "for the project as it is")
    one_line(who.ssh("rekey", "p", stdin=by_key(who, "p")), 64, "ended without a line")
    assert not draft(who).exists()
    unchanged(who, old)
    given = along(who)
    with rekeying(who, given):
        pass
    assert challenge(who, "p", "--rekey") in given, "the draft keeps its challenge"
    done = again(who, given)
    assert done.status == 0 and "continuing" in done.err, done
    assert CODE.search(done.out), "a lost key would be a lost project, which it was not before"
    assert "not carried over: passphrase\n" in done.out
    assert sorted(kind for _, kind, _ in slots(who)) == ["recovery", "ssh-key"]
    assert opens(who, "p", by_key(who, "p"))
    assert who.ssh("recover", "p", stdin=f"{code_of(done)}\n{PASSPHRASE}\n").status == 0


def test_a_key_that_signs_differently_each_time_is_refused_and_named(who: Person, tmp_path: Path) -> None:
    agent, public = Agent(os.urandom(32), tmp_path / "agent"), tmp_path / "key.pub"
    public.write_text(f"ssh-ed25519 {base64.b64encode(blob(agent.seed)).decode()} agent@test\n")
    with agent.serving():
        assert add_key(who, "p", public, agent.socket).status == 0
        given = sign(challenge(who, "p"), public, namespace(who), agent.socket)
        agent.random, text = True, challenge(who, "p", "--rekey")
        given += text + "".join(sign(text, public, namespace(who), agent.socket) for _ in range(2))
    one_line(who.ssh("rekey", "p", stdin=given), 64, "signs differently each time")
    assert not draft(who).exists() and opens(who, "p", LINE)


def test_at_a_terminal_it_asks_in_order_and_shows_where_it_is(who: Person) -> None:
    assert add_key(who, "p").status == 0
    trees.make(who.gateway, who.vault("p"), trees.MANY, "1")
    signature = by_key(who, "p")
    terminal = Terminal(who.argv("rekey", "p", extra=("-tt",)))
    terminal.expect("Passphrase of p: ")
    terminal.send(signature)
    terminal.expect("First signature: ")
    text = terminal.seen.replace("\r", "").partition("<<'END'\n")[2].partition("END\n")[0]
    terminal.send(sign(text, who.key, namespace(who)))
    terminal.expect("Second signature: ")
    terminal.send(sign(text, who.key, namespace(who)))
    terminal.expect("rekeyed p")
    assert terminal.wait() == 0 and "comparing p: " in terminal.seen


def add(who: Person, slot: Slot, secret: bytes) -> None:
    """With the API of slots: what members do has no commands yet."""
    vault = vault_of(who.vault("p"))
    (first,) = [each for each in store.check(vault, is_copy=True) if each.name == "passphrase"]
    change.add(vault, Opened(slot=first, secret=PASSPHRASE.encode()), slot, secret)
    if os.geteuid() == 0:
        for path in (Path(vault.slots), *Path(vault.slots).iterdir()):
            shutil.chown(path, *[str(who.gateway.ready["account"])] * 2)


def test_each_other_member_gets_a_fresh_invitation_and_a_recovery_code_is_made_new(who: Person) -> None:
    old_code = code_of(who.ssh("slot", "add", "p", "recovery", stdin=LINE))
    assert who.ssh("slot", "add", "p", "passphrase", stdin=f"{LINE}another passphrase of mine\n").status == 0
    before = "2020-01-01T00:00:00Z"
    for name, role, expires in (("bob", Role.WRITER, ""), ("carol", Role.READER, ""), ("late", Role.READER, before)):
        slot, code = invitation.new(Principal(name), role, expires, who.fingerprint)
        add(who, slot if name == "late" else slot.replace(kind=Kind.PASSPHRASE), code)
    again_bob, code = invitation.new(Principal("bob"), Role.READER, "", who.fingerprint)
    add(who, again_bob, code)
    done = who.ssh("rekey", "p", "--json", stdin=LINE)
    assert done.status == 0, done
    codes, result = (json.loads(line) for line in done.out.splitlines())
    assert codes["event"] == "codes" and result["invited"] == ["bob", "carol"]
    assert [each["slot"] for each in result["dropped"]] == ["passphrase-2"]
    assert sorted((each["kind"], each.get("principal"), each.get("role")) for each in codes["codes"]) == [
        ("invitation", "bob", "writer"),
        ("invitation", "carol", "reader"),
        ("recovery", None, None),
    ]
    vault = vault_of(who.vault("p"))
    assert {(slot.kind.value, slot.principal, slot.role.value) for slot in store.check(vault, is_copy=True)} == {
        ("passphrase", "", "owner"),
        ("recovery", "", "owner"),
        ("invitation", "bob", "writer"),
        ("invitation", "carol", "reader"),
    }
    for each in codes["codes"]:
        config = f"{vault.slots}/{each['slot']}.conf"
        words = ["gocryptfs", "-fsck", "-q", "-nosyslog", "-config", config, vault.cipher]
        assert who.gateway.as_account(*words, stdin=each["code"] + "\n").status == 0
    (record,) = who.gateway.events("rekeyed", fingerprint=who.fingerprint)
    assert (record["invited"], record["dropped"]) == (2, 1) and str(codes["codes"][0]["code"]) not in str(record)
    one_line(who.ssh("recover", "p", stdin=f"{old_code}\n{LINE}"), 77, "wrong recovery code")
    done = who.ssh("rekey", "p", stdin=LINE)
    assert done.status == 0, done
    said = re.sub(CODE, "CODE", done.out)
    assert "bob can read and write the project once they have accepted" in said and said.count("CODE") == 3


# what it waits for, and what ends it


def test_nobody_else_is_at_the_project_meanwhile(who: Person) -> None:
    with who.mounted("p"):
        one_line(who.ssh("rekey", "p", stdin=LINE), 75, "unlocked already by session")
    eventually(lambda: not who.gateway.leftovers())
    trees.make(who.gateway, who.vault("p"), trees.MANY, "300")
    with rekeying(who) as held:
        for words in (("mount", "p"), ("fsck", "p"), ("rekey", "p"), ("mv", "p", "q"), ("rm", "p", "--yes")):
            one_line(who.ssh(*words, stdin=""), 75, "p is being rekeyed, from 127.0.0.1 since")  # asks for nothing
        one_line(who.ssh("rekey", "p", "--discard"), 75, "p is being rekeyed")
        code_of(who.ssh("slot", "add", "p", "recovery", stdin=LINE))
        assert who.ssh("idle", "p", "99").status == 0
        os.kill(workers(who)[0], signal.SIGCONT)
        done = held.wait()
        assert done.status == 0 and CODE.search(done.out), "a way that was added meanwhile counts"
    assert "1 min 39 s" in who.ssh("idle", "p").out


def test_a_way_that_was_changed_meanwhile_is_not_the_way_into_the_new_one(who: Person) -> None:
    trees.make(who.gateway, who.vault("p"), trees.MANY, "300")
    old = identity(who.vault("p"))
    with rekeying(who) as held:
        assert who.ssh("passwd", "p", stdin=f"{LINE}a new passphrase of p\n").status == 0
        os.kill(workers(who)[0], signal.SIGCONT)
        done = held.wait()
        one_line(done, 75, "was changed meanwhile")
    assert identity(who.vault("p")) == old
    done = again(who, "a new passphrase of p\n")
    assert done.status == 0 and "starting again" in done.err, done


def revoke(who: Person, _front: int) -> Callable[[], object]:
    keys = who.gateway.authorized_keys
    before = keys.read_text()
    keys.write_text(without(keys, who))
    return lambda: keys.write_text(before)


def pause(who: Person, _front: int) -> Callable[[], object]:
    assert admin(who.gateway, "pause", "--lock-now").status == 0
    return lambda: admin(who.gateway, "resume")


def kill(who: Person, _front: int) -> Callable[[], object]:
    principal = Principal.of_fingerprint(who.fingerprint)
    assert admin(who.gateway, "sessions", "kill", "--principal", principal).status == 0
    return lambda: None


def terminate(_who: Person, front: int) -> Callable[[], object]:
    os.kill(front, signal.SIGTERM)
    return lambda: None


@pytest.mark.parametrize(
    ("end", "status", "reason"),
    [
        pytest.param(revoke, 77, "denied", id="a revoked key"),
        pytest.param(pause, 75, "paused", id="a pause"),
        pytest.param(kill, 77, "denied", id="sessions kill"),
        pytest.param(terminate, 143, "interrupted", id="SIGTERM"),
    ],
)
def test_a_revoked_key_a_pause_a_kill_and_a_signal_end_it_and_nothing_is_half_done(
    who: Person, end: Callable[[Person, int], Callable[[], object]], status: int, reason: str
) -> None:
    trees.make(who.gateway, who.vault("p"), trees.MANY, "300")
    old = identity(who.vault("p"))
    with rekeying(who) as held:
        undo = end(who, front(who))
        try:
            done = held.wait()
        finally:
            undo()
        assert done.status == status and "Traceback" not in done.err, done
        eventually(lambda: not is_at_work(who))
    unchanged(who, old)
    (record,) = who.gateway.events("rekey-stopped", fingerprint=who.fingerprint)
    assert record["reason"] == reason
    done = again(who)
    assert done.status == 0 and "continuing" in done.err, done


# bad input


def test_what_cannot_begin_is_one_clear_line_and_changes_nothing(who: Person) -> None:
    old = identity(who.vault("p"))
    one_line(who.ssh("rekey", "p", stdin="wrong\n"), 77, "wrong passphrase")
    one_line(who.ssh("rekey", "p", stdin=""), 64, "ended without a line")
    one_line(who.ssh("rekey", "nosuch", stdin=LINE), 66, "no project nosuch")
    one_line(who.ssh("rekey", "p", "--force", stdin=LINE), 64, "no option")
    one_line(who.gateway.person("mallory2").ssh("rekey", "p", stdin=LINE), 66, "you have no project p")
    done = who.ssh("rekey", "p", "--json", stdin="wrong\n")
    assert done.status == 77 and done.json["error"] == "wrong-secret"
    assert who.ssh("rekey", "p", "--discard").out == "no rekey of p is under way\n"
    assert not draft(who).exists() and identity(who.vault("p")) == old
    assert not who.gateway.events("rekey-begun", fingerprint=who.fingerprint)
    told = why(who.gateway, who.fingerprint, "rekey", "p")
    assert told.status == 0 and "nothing prevents it now" in told.out, told


def test_what_gocryptfs_does_not_list_is_not_lost_in_silence(who: Person) -> None:
    trees.make(who.gateway, who.vault("p"), trees.ODD)
    old = identity(who.vault("p"))
    names = [path for path in (who.vault("p") / "cipher").iterdir() if path.name.endswith(".name")]
    names[0].unlink()
    one_line(who.ssh("rekey", "p", stdin=LINE), 65, "files of p cannot be listed, so they would be lost")
    assert identity(who.vault("p")) == old
    assert "recovered-1" in who.ssh("fsck", "p", stdin=LINE).out
    assert again(who).status == 0


def test_a_file_that_cannot_be_read_is_named_and_nothing_is_changed(who: Person) -> None:
    trees.make(who.gateway, who.vault("p"), trees.ODD)
    old = identity(who.vault("p"))
    big = max((who.vault("p") / "cipher").iterdir(), key=lambda path: path.lstat().st_blocks)
    with big.open("r+b") as file:
        file.seek(50_000)
        file.write(b"damage")
    done = who.ssh("rekey", "p", stdin=LINE)
    assert done.status == 74 and "big: Input/output error" in done.err and "nothing was changed" in done.err, done
    assert identity(who.vault("p")) == old


def test_without_room_in_the_quota_it_does_not_begin(make_gateway: Callable[..., Gateway]) -> None:
    who = make_gateway(**{"limits.disk": "8"}).person("dev1")
    who.new("p")
    with who.mounted("p"):
        assert who.ssh("run", "p", "--", "sh", "-c", "'head -c 4M /dev/urandom >f'").status == 0
    eventually(lambda: not who.gateway.leftovers())
    old = identity(who.vault("p"))
    one_line(who.ssh("rekey", "p", stdin=""), 73, "rekeying p needs 5.0 MiB more, and your quota of 8 MiB has")
    assert identity(who.vault("p")) == old and not draft(who).exists()
    told = why(who.gateway, who.fingerprint, "rekey", "p")
    assert told.status == 73 and "your quota of 8 MiB" in told.out, told


def test_a_draft_counts_and_is_given_up_by_a_word(who: Person) -> None:
    trees.make(who.gateway, who.vault("p"), trees.MANY, "300")
    with rekeying(who, copied=100):
        pass
    eventually(lambda: "removed" in who.ssh("rekey", "p", "--discard").out)
    assert sorted(os.listdir(who.vault("p").parent)) == ["p"] and opens(who, "p", LINE)
    assert who.gateway.events("rekey-stopped", fingerprint=who.fingerprint, reason="discarded")
