"""Ways to unlock a project, with stock ssh and ssh-keygen on a real gateway: passphrases, SSH keys, recovery codes."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.agent import Agent, blob
from tests.harness import PASSPHRASE, Gateway, Person, Result, Terminal, eventually

NEW = "a brand new passphrase"
CODE = re.compile(r"(?:[0-9A-Z]{4}-){13}[0-9A-Z]{4}")


def namespace(who: Person) -> str:
    return f"unlock@{(who.gateway.vaults / '.realm').read_text().strip()}"


def sign(text: str, key: Path | str, space: str, socket: Path | None = None) -> str:
    words = ["ssh-keygen", "-q", "-Y", "sign", "-n", space, "-f", str(key)]
    environment = {**os.environ, "SSH_AUTH_SOCK": str(socket) if socket else ""}
    done = subprocess.run(words, input=text, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done
    return done.stdout


def challenge(who: Person, *words: str) -> str:
    asked = who.ssh("challenge", *words)
    assert asked.status == 0, asked
    return asked.out


def signed_twice(who: Person, project: str, key: Path | None = None, socket: Path | None = None) -> str:
    """A new challenge, and two signatures of it."""
    text = challenge(who, project, "--new")
    return text + "".join(sign(text, key or who.key, namespace(who), socket) for _ in range(2))


def add_key(who: Person, project: str, key: Path | None = None, socket: Path | None = None) -> Result:
    return who.ssh("slot", "add", project, "key", stdin=PASSPHRASE + "\n" + signed_twice(who, project, key, socket))


def opens(who: Person, project: str, secret: str) -> bool:
    done = who.ssh("fsck", project, stdin=secret)
    assert done.status in (0, 77), done
    return done.status == 0


def by_key(who: Person, project: str) -> str:
    return sign(challenge(who, project), who.key, namespace(who))


def one_line(done: Result, status: int, words: str) -> None:
    """The last line says it, and nothing else does."""
    assert done.status == status, done
    said = done.err.splitlines()[-1].partition("enc: ")[2]
    assert words in said and done.err.count("enc: ") == 1, done
    assert "Traceback" not in done.err


def tree(path: Path) -> dict[str, bytes]:
    return {
        str(each): each.read_bytes()
        for each in path.rglob("*")
        if each.is_file() and each.name not in ("lock", "holder")
    }


@pytest.fixture
def who(person: Person) -> Person:
    person.new("p")
    return person


# passphrases


def test_passwd_changes_the_passphrase_and_the_old_one_opens_nothing(who: Person) -> None:
    done = who.ssh("passwd", "p", stdin=f"{PASSPHRASE}\n{NEW}\n")
    assert done.status == 0 and "changed" in done.out, done
    assert opens(who, "p", NEW + "\n") and not opens(who, "p", PASSPHRASE + "\n")
    (record,) = who.gateway.events("slot-changed", fingerprint=who.fingerprint)
    assert (record["slot"], record["kind"], record["fingerprint"]) == ("passphrase", "passphrase", who.fingerprint)


def test_passwd_at_a_terminal_asks_in_order_and_shows_nothing(who: Person) -> None:
    terminal = Terminal(who.argv("passwd", "p", extra=("-tt",)))
    terminal.expect("Passphrase of p: ")
    terminal.send(PASSPHRASE + "\n")
    terminal.expect("New passphrase: ")
    terminal.send(NEW + "\n")
    terminal.expect("New passphrase again: ")
    terminal.send(NEW + "\n")
    assert terminal.wait() == 0
    assert NEW not in terminal.seen and PASSPHRASE not in terminal.seen
    assert opens(who, "p", NEW + "\n")


@pytest.mark.parametrize(
    ("stdin", "status", "words"),
    [
        pytest.param(f"wrong\n{NEW}\n", 77, "wrong passphrase", id="wrong"),
        pytest.param(f"{PASSPHRASE}\nshort\n", 64, "fewer than 12", id="short"),
        pytest.param(f"{PASSPHRASE}\n", 64, "ended without a line", id="no new one"),
        pytest.param(f"{PASSPHRASE}\n{PASSPHRASE}\n", 64, "is the old one", id="the same"),
        pytest.param(f"{PASSPHRASE}\nnew \x1b[D passphrase\n", 64, "control character", id="control"),
        pytest.param("", 64, "ended without a line", id="nothing"),
    ],
)
def test_passwd_that_fails_changes_nothing(who: Person, stdin: str, status: int, words: str) -> None:
    before = tree(who.vault("p") / "slots")
    one_line(who.ssh("passwd", "p", stdin=stdin), status, words)
    assert tree(who.vault("p") / "slots") == before


def test_another_machine_joins_by_its_key_and_by_no_other(who: Person, gateway: Gateway) -> None:
    stranger = gateway.person("stranger")
    assert add_key(who, "p").status == 0
    with who.mounted("p") as first:
        foreign = sign(challenge(who, "p"), stranger.key, namespace(who))
        one_line(who.ssh("mount", "p", stdin=foreign), 77, "does not unlock p")
        second = who.hold("mount", "p", stdin=by_key(who, "p"))
        try:
            second.read_until("unlocked")
            assert [row["project"] for row in who.gateway.events("joined", fingerprint=who.fingerprint)] == ["p"]
            first.end()
            eventually(lambda: who.gateway.events("left", fingerprint=who.fingerprint))
            assert who.ssh("run", "p", "--", "true").status == 0
        finally:
            second.end()
    eventually(lambda: who.ssh("run", "p", "--", "true").status == 69)


def test_passwd_while_the_project_is_mounted_leaves_the_view_alone(who: Person) -> None:
    with who.mounted("p"):
        assert who.ssh("passwd", "p", stdin=f"{PASSPHRASE}\n{NEW}\n").status == 0
        assert who.ssh("run", "p", "--", "sh", "-c", "'echo hi >f; cat f'").out == "hi\n"
    assert opens(who, "p", NEW + "\n") and not opens(who, "p", PASSPHRASE + "\n")


def test_wrong_secrets_cost_time_whatever_asks_for_them(who: Person) -> None:
    for words in (("passwd", "p"), ("slot", "add", "p", "recovery")):
        assert who.ssh(*words, stdin="wrong\n").status == 77
    assert "waiting" in who.ssh("mount", "p", stdin="wrong\n").err


def test_a_second_passphrase_opens_too(who: Person) -> None:
    assert who.ssh("slot", "add", "p", "passphrase", stdin=f"{PASSPHRASE}\n{NEW}\n").status == 0
    assert opens(who, "p", NEW + "\n") and opens(who, "p", PASSPHRASE + "\n") and not opens(who, "p", "wrong\n")
    with who.mounted("p", NEW):
        assert who.ssh("run", "p", "--", "pwd").out == "/projects/p\n"
    (record,) = who.gateway.events("unlocked", fingerprint=who.fingerprint)
    assert (record["slot"], record["kind"]) == ("passphrase-2", "passphrase")


# SSH keys


def test_an_ssh_key_unlocks_with_stock_tools(who: Person) -> None:
    done = add_key(who, "p")
    assert done.status == 0 and done.out.startswith("added key to p"), done
    with who.mounted("p", by_key(who, "p")):
        assert who.ssh("run", "p", "--", "pwd").out == "/projects/p\n"
    eventually(lambda: not who.gateway.sessions())
    (record,) = who.gateway.events("unlocked", fingerprint=who.fingerprint)
    assert (record["slot"], record["kind"]) == ("key", "ssh-key")
    (added,) = who.gateway.events("slot-added", fingerprint=who.fingerprint)
    assert (added["kind"], added["key"], added["with_slot"]) == ("ssh-key", who.fingerprint, "passphrase")
    listed = json.loads(who.ssh("slots", "p", "--json").out)["slots"]
    assert [(each["slot"], each["kind"], each["key"]) for each in listed] == [
        ("key", "ssh-key", who.fingerprint),
        ("passphrase", "passphrase", ""),
    ]
    eventually(lambda: json.loads(who.ssh("slots", "p", "--json").out)["slots"][0]["last_used"] != "")
    assert json.loads(who.ssh("slots", "p", "--json").out)["slots"][1]["last_used"] == ""


def test_signatures_are_pasted_at_a_terminal_and_not_shown(who: Person) -> None:
    terminal = Terminal(who.argv("slot", "add", "p", "key", extra=("-tt",)))
    terminal.expect("Passphrase of p: ")
    terminal.send(PASSPHRASE + "\n")
    terminal.expect("First signature: ")
    shown = terminal.seen.replace("\r", "")
    assert f"ssh-keygen -Y sign -q -n {namespace(who)} " in shown
    text = shown.partition("<<'END'\n")[2].partition("END\n")[0]
    terminal.send("\n" + sign(text, who.key, namespace(who)))  # who copies may have an empty line before it
    terminal.expect("Second signature: ")
    terminal.send(sign(text, who.key, namespace(who)))
    terminal.expect("added key to p")
    assert terminal.wait() == 0 and "BEGIN SSH SIGNATURE" not in terminal.seen
    prompt = who.terminal()
    prompt.expect("enc> ")
    prompt.send("mount p\n")
    prompt.expect("Passphrase of p: ")
    prompt.send(by_key(who, "p"))
    prompt.expect("unlocked p")
    prompt.expect("enc> ")
    assert "BEGIN SSH SIGNATURE" not in prompt.seen, "and no line of it is left for the prompt"
    assert "unknown command" not in prompt.seen
    prompt.close()


def test_a_client_that_has_no_passphrase_is_told_whether_it_is_unlocked(keyed: Person) -> None:
    asked = keyed.ssh("challenge", "p", "--json").json
    assert (asked["state"], asked["kinds"]) == ("locked", ["passphrase", "ssh-key"])
    with keyed.mounted("p"):
        assert keyed.ssh("challenge", "p", "--json").json["state"] == "unlocked"


def test_a_realm_that_cannot_be_read_is_not_in_the_way_of_a_passphrase(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway()
    who = gateway.person("somebody")
    who.new("p")
    (gateway.vaults / ".realm").write_text("nonsense\n")
    asked = who.ssh("challenge", "p", "--json")
    assert asked.status == 0 and asked.json["kinds"] == ["passphrase"], asked
    assert who.ssh("challenge", "p", "--new").status == 75


def test_nothing_in_the_vault_opens_what_a_key_opens(who: Person) -> None:
    assert add_key(who, "p").status == 0
    listed = json.loads(who.ssh("challenge", "p", "--json").out)["challenges"]
    stored = (who.vault("p") / "slots" / "key.toml").read_text()
    for word in {*re.findall(r'"([^"\n]+)"', stored), listed[0]["text"]}:
        config = str(who.vault("p") / "slots" / "key.conf")
        words = ("gocryptfs", "-fsck", "-nosyslog", "-config", config, str(who.vault("p") / "cipher"))
        assert who.gateway.as_account(*words, stdin=word + "\n").status == 12


@pytest.fixture
def keyed(who: Person) -> Person:
    assert add_key(who, "p").status == 0
    return who


def other_key(who: Person, *words: str) -> Path:
    path = who.key.with_name(f"{who.key.name}-other-{'-'.join(words) or 'ed25519'}")
    if not path.exists():
        kind = words or ("-t", "ed25519")
        subprocess.run(["ssh-keygen", "-q", *kind, "-N", "", "-f", str(path)], check=True)
    return path


def of_another_key(who: Person) -> str:
    return sign(challenge(who, "p"), other_key(who), namespace(who))


def of_another_realm(who: Person) -> str:
    return sign(challenge(who, "p"), who.key, f"unlock@{'0' * 32}")


def of_another_namespace(who: Person) -> str:
    return sign(challenge(who, "p"), who.key, "file")


def of_another_vault(who: Person) -> str:
    who.new("other")
    assert add_key(who, "other").status == 0
    return by_key(who, "other")


def of_another_slot(who: Person) -> str:
    return sign(challenge(who, "p", "--new"), who.key, namespace(who))


def of_nearly_the_text(who: Person) -> str:
    return sign(challenge(who, "p").rstrip("\n"), who.key, namespace(who))


def of_ecdsa(who: Person) -> str:
    return sign(challenge(who, "p"), other_key(who, "-t", "ecdsa"), namespace(who))


def of_rsa(who: Person) -> str:
    return sign(challenge(who, "p"), other_key(who, "-t", "rsa", "-b", "4096"), namespace(who))


def cut_off(who: Person) -> str:
    return "\n".join(by_key(who, "p").splitlines()[:3]) + "\n"


def endless(_who: Person) -> str:
    return "-----BEGIN SSH SIGNATURE-----\n" + "AAAA\n" * 10_000


def altered(who: Person) -> str:
    """One bit of the 64 bytes."""
    lines = by_key(who, "p").splitlines()
    content = bytearray(base64.b64decode("".join(lines[1:-1])))
    content[-60] ^= 1
    return "\n".join((lines[0], base64.b64encode(bytes(content)).decode(), lines[-1], ""))


@pytest.mark.parametrize(
    ("make", "status", "words"),
    [
        pytest.param(of_another_key, 77, "does not unlock p", id="another key"),
        pytest.param(of_another_realm, 77, "not for this gateway", id="another realm"),
        pytest.param(of_another_namespace, 77, "not for this gateway", id="another namespace"),
        pytest.param(of_another_vault, 77, "not of the challenge", id="another vault"),
        pytest.param(of_another_slot, 77, "not of the challenge", id="another slot"),
        pytest.param(of_nearly_the_text, 77, "not of the challenge", id="another text"),
        pytest.param(altered, 77, "not of the challenge", id="altered"),
        pytest.param(of_ecdsa, 64, "random part", id="ECDSA"),
        pytest.param(of_rsa, 64, "more than one way", id="RSA"),
        pytest.param(cut_off, 64, "ended without a line", id="cut off"),
        pytest.param(endless, 64, "has no end", id="endless"),
        pytest.param(
            lambda _who: "-----BEGIN SSH SIGNATURE-----\n-----END SSH SIGNATURE-----\n", 64, "not an SSH", id="empty"
        ),
        pytest.param(lambda _who: "-----BEGIN PGP SIGNATURE-----\n", 64, "not an SSH", id="another kind"),
    ],
)
def test_a_signature_that_does_not_fit_is_one_clear_line(
    keyed: Person, make: Callable[[Person], str], status: int, words: str
) -> None:
    stdin = make(keyed)
    one_line(keyed.ssh("mount", "p", stdin=stdin), status, words)
    assert not keyed.gateway.sessions()


def test_an_altered_slot_is_told_from_a_wrong_key(keyed: Person) -> None:
    path = keyed.vault("p") / "slots" / "key.toml"
    signature, text = by_key(keyed, "p"), path.read_text()
    salt = re.search(r'salt = "(\w+)"', text)
    assert salt
    path.write_text(text.replace(salt[1], salt[1][::-1]))
    one_line(keyed.ssh("mount", "p", stdin=signature), 65, "damaged")


def test_a_store_with_another_realm_says_so(keyed: Person) -> None:
    signature = by_key(keyed, "p")
    realm = keyed.gateway.vaults / ".realm"
    before = realm.read_text()
    try:
        realm.write_text("0" * 32 + "\n")
        one_line(keyed.ssh("mount", "p", stdin=signature), 77, "another realm")
        assert opens(keyed, "p", PASSPHRASE + "\n")
    finally:
        realm.write_text(before)
    assert opens(keyed, "p", signature)


# agents


@pytest.fixture
def agent(who: Person, tmp_path: Path) -> Agent:
    """One with a key of its own; `tmp_path/key.pub` names it."""
    made = Agent(os.urandom(32), tmp_path / "agent")
    (tmp_path / "key.pub").write_text(f"ssh-ed25519 {base64.b64encode(blob(made.seed)).decode()} agent@test\n")
    return made


def test_a_key_in_an_agent_unlocks(who: Person, agent: Agent) -> None:
    public = agent.socket.with_name("key.pub")
    with agent.serving():
        assert add_key(who, "p", public, agent.socket).status == 0
        signature = sign(challenge(who, "p"), public, namespace(who), agent.socket)
    assert opens(who, "p", signature) and agent.signed == 3


def test_an_agent_that_signs_differently_each_time_is_refused_and_named(who: Person, agent: Agent) -> None:
    agent.random = True
    before = tree(who.vault("p") / "slots")
    with agent.serving():
        done = add_key(who, "p", agent.socket.with_name("key.pub"), agent.socket)
    one_line(done, 64, "signs differently each time")
    assert tree(who.vault("p") / "slots") == before


def test_an_agent_that_begins_to_sign_differently_is_named_when_it_unlocks(who: Person, agent: Agent) -> None:
    public = agent.socket.with_name("key.pub")
    with agent.serving():
        assert add_key(who, "p", public, agent.socket).status == 0
        agent.random = True
        signature = sign(challenge(who, "p"), public, namespace(who), agent.socket)
    for words in (("mount", "p"), ("fsck", "p"), ("passwd", "p")):
        one_line(who.ssh(*words, stdin=signature), 77, "signs differently each time")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param(lambda text, one, two: text + one, "ended without a line", id="one signature"),
        pytest.param(lambda text, one, two: text + one + two, "two keys", id="two keys"),
        pytest.param(
            lambda text, one, two: text.replace("salt ", "salt  ") + one + one, "not a challenge", id="spaces"
        ),
        pytest.param(lambda text, one, two: text.upper() + one + one, "not a challenge", id="upper case"),
        pytest.param(lambda text, one, two: one + one, "not a challenge", id="no challenge"),
        pytest.param(
            lambda text, one, two: text[:-9] + "00000000\n" + one + one, "not of that challenge", id="another salt"
        ),
        pytest.param(
            lambda text, one, two: re.sub("vault .*", "vault " + "0" * 16, text) + one + one,
            "another project",
            id="another vault",
        ),
    ],
)
def test_a_key_that_is_not_handed_in_properly_is_not_added(
    who: Person, change: Callable[[str, str, str], str], words: str
) -> None:
    text = challenge(who, "p", "--new")
    one, two = (sign(text, key, namespace(who)) for key in (who.key, other_key(who)))
    before = tree(who.vault("p") / "slots")
    one_line(who.ssh("slot", "add", "p", "key", stdin=PASSPHRASE + "\n" + change(text, one, two)), 64, words)
    assert tree(who.vault("p") / "slots") == before


def test_a_key_is_added_once(keyed: Person) -> None:
    one_line(add_key(keyed, "p"), 64, "unlocks it already")


# recovery codes, and projects without a passphrase


def code_of(done: Result) -> str:
    assert done.status == 0, done
    (found,) = CODE.findall(done.out)
    return str(found)


def test_a_recovery_code_sets_a_new_passphrase(who: Person) -> None:
    code = code_of(who.ssh("slot", "add", "p", "recovery", stdin=PASSPHRASE + "\n"))
    spelled = code.lower().replace("-", " ").replace("0", "o").replace("1", "l")
    assert who.ssh("recover", "p", stdin=f"{spelled}\n{NEW}\n").status == 0
    assert opens(who, "p", NEW + "\n") and not opens(who, "p", PASSPHRASE + "\n")
    records = json.dumps(who.gateway.audit())
    assert code not in records and NEW not in records


def test_typing_errors_are_told_from_wrong_codes(who: Person) -> None:
    code = code_of(who.ssh("slot", "add", "p", "recovery", stdin=PASSPHRASE + "\n"))
    who.new("q")
    another = code_of(who.ssh("slot", "add", "q", "recovery", stdin=PASSPHRASE + "\n"))
    mistyped = ("Z" if code[0] != "Z" else "Y") + code[1:]
    one_line(who.ssh("recover", "p", stdin=f"{mistyped}\n{NEW}\n"), 64, "checksum")
    one_line(who.ssh("recover", "p", stdin=f"{code[:-1]}\n{NEW}\n"), 64, "1 characters are missing")
    one_line(who.ssh("recover", "p", stdin=f"{'U' + code[1:]}\n{NEW}\n"), 64, "group 1")
    one_line(who.ssh("recover", "p", stdin=f"{another}\n{NEW}\n"), 77, "wrong recovery code")
    one_line(who.ssh("mount", "p", stdin=f"{code}\n"), 64, "is a recovery code")
    assert opens(who, "p", PASSPHRASE + "\n")
    one_line(who.ssh("recover", "nosuch", stdin=f"{code}\n"), 66, "no project")


def test_new_with_a_key_and_a_code_has_no_passphrase(person: Person) -> None:
    before = person.ssh("challenge", "p", "--new")
    assert before.status == 0
    stdin = signed_twice(person, "p")
    one_line(person.ssh("new", "p", "--key", stdin=stdin), 64, "a lost key is a lost project")
    code = code_of(person.ssh("new", "p", "--key", "--recovery", stdin=stdin))
    assert opens(person, "p", by_key(person, "p"))
    one_line(person.ssh("mount", "p", stdin="anything\n"), 64, "has no passphrase")
    assert person.ssh("recover", "p", stdin=f"{code}\n{NEW}\n").status == 0
    assert opens(person, "p", NEW + "\n")
    (record,) = person.gateway.events("created", fingerprint=person.fingerprint)
    assert record["kinds"] == ["ssh-key", "recovery"]


def test_new_with_a_key_alone_when_that_is_said(person: Person) -> None:
    assert person.ssh("challenge", "p", "--new").status == 0
    done = person.ssh("new", "p", "--key", "--no-recovery", stdin=signed_twice(person, "p"))
    assert done.status == 0 and "unlocked by your SSH key" in done.out, done
    assert sorted(os.listdir(person.vault("p") / "slots")) == ["key.conf", "key.toml"]
    assert opens(person, "p", by_key(person, "p"))


def test_a_recovery_code_that_adds_a_key(who: Person) -> None:
    code = code_of(who.ssh("slot", "add", "p", "recovery", stdin=PASSPHRASE + "\n"))
    assert who.ssh("recover", "p", "key", stdin=f"{code}\n{signed_twice(who, 'p')}").status == 0
    assert opens(who, "p", by_key(who, "p")) and opens(who, "p", PASSPHRASE + "\n")


# removing


def test_a_way_is_removed_by_who_has_another(keyed: Person) -> None:
    one_line(keyed.ssh("slot", "rm", "p", "passphrase", stdin=by_key(keyed, "p")), 64, "a lost key is a lost project")
    one_line(keyed.ssh("slot", "rm", "p", "nosuch", stdin=PASSPHRASE + "\n"), 64, "no such way")
    one_line(keyed.ssh("slot", "rm", "p", "key", stdin="wrong\n"), 77, "wrong passphrase")
    one_line(keyed.ssh("slot", "rm", "p", "key", stdin=by_key(keyed, "p")), 77, "does not unlock p")
    signature = by_key(keyed, "p")
    assert keyed.ssh("slot", "rm", "p", "key", stdin=PASSPHRASE + "\n").status == 0
    one_line(keyed.ssh("mount", "p", stdin=signature), 77, "does not unlock p")
    one_line(keyed.ssh("slot", "rm", "p", "passphrase", stdin=PASSPHRASE + "\n"), 64, "the last way")
    (record,) = keyed.gateway.events("slot-removed", fingerprint=keyed.fingerprint)
    assert (record["slot"], record["kind"], record["key"]) == ("key", "ssh-key", keyed.fingerprint)


def test_the_passphrase_goes_when_a_code_stays(keyed: Person) -> None:
    code = code_of(keyed.ssh("slot", "add", "p", "recovery", stdin=by_key(keyed, "p")))
    assert keyed.ssh("slot", "rm", "p", "passphrase", stdin=code + "\n").status == 0
    one_line(keyed.ssh("slot", "rm", "p", "recovery", stdin=by_key(keyed, "p")), 64, "a lost key is a lost project")
    assert keyed.ssh("slot", "rm", "p", "recovery", "--no-recovery", stdin=by_key(keyed, "p")).status == 0
    assert opens(keyed, "p", by_key(keyed, "p"))


# what a sysadmin decides, and what concerns nobody else


def test_a_sysadmin_says_which_kinds_are_added_and_that_a_code_is_needed(make_gateway: Callable[..., Gateway]) -> None:
    settings = {"unlock.kinds": "passphrase,recovery", "unlock.recovery": "required"}
    who = make_gateway(**settings).person("dev1")
    code = code_of(who.ssh("new", "p", stdin=PASSPHRASE + "\n"))
    one_line(who.ssh("slot", "add", "p", "key", stdin=PASSPHRASE + "\n"), 77, "does not allow")
    one_line(who.ssh("slot", "rm", "p", "recovery", stdin=PASSPHRASE + "\n"), 77, "requires a recovery code")
    one_line(who.ssh("new", "q", "--no-recovery", stdin=PASSPHRASE + "\n"), 77, "requires a recovery code")
    assert who.ssh("recover", "p", stdin=f"{code}\n{NEW}\n").status == 0


def test_nobody_sees_another_s_ways(who: Person) -> None:
    mallory = who.gateway.person("mallory")
    for words in (("slots", "p"), ("challenge", "p"), ("passwd", "p"), ("slot", "add", "p", "key"), ("recover", "p")):
        one_line(mallory.ssh(*words, stdin=PASSPHRASE + "\n"), 66, "you have no project p")


def test_two_changes_at_once_leave_ways_that_open(who: Person) -> None:
    words = [
        who.argv("slot", "add", "p", "recovery"),
        who.argv("passwd", "p"),
        who.argv("slot", "add", "p", "recovery"),
    ]
    stdin = f"{PASSPHRASE}\n{NEW}\n".encode()
    running = [
        subprocess.Popen(each, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for each in words
    ]
    for each in running:
        assert each.stdin
        each.stdin.write(stdin)
        each.stdin.close()
    done = [(each.wait(60), each.stderr.read().decode() if each.stderr else "") for each in running]
    assert all(status in (0, 77) for status, _ in done), done
    changed = done[1][0] == 0
    assert opens(who, "p", (NEW if changed else PASSPHRASE) + "\n")
    assert not [name for name in os.listdir(who.vault("p")) if name.startswith(".")]


# renaming, and the trash


def test_a_project_is_renamed_and_its_key_still_unlocks_it(keyed: Person) -> None:
    with keyed.mounted("p"):
        one_line(keyed.ssh("mv", "p", "q"), 75, "unlocked already")
    assert keyed.ssh("mv", "p", "q").out == "renamed p to q\n"
    one_line(keyed.ssh("mv", "p", "r"), 66, "no project p")
    keyed.new("p")
    one_line(keyed.ssh("mv", "q", "p"), 73, "already have")
    one_line(keyed.ssh("mv", "q", "../p"), 64, "not a valid project name")
    assert opens(keyed, "q", by_key(keyed, "q"))


def test_what_was_removed_comes_back(who: Person) -> None:
    assert who.ssh("trash").out == "the trash is empty\n"
    assert who.ssh("rm", "p", "--yes").status == 0
    assert json.loads(who.ssh("trash", "--json").out)["trash"][0]["project"] == "p"
    who.new("p")
    one_line(who.ssh("trash", "restore", "p"), 73, "already have")
    assert who.ssh("mv", "p", "q").status == 0
    assert who.ssh("trash", "restore", "p").status == 0
    assert opens(who, "p", PASSPHRASE + "\n")
    one_line(who.ssh("trash", "restore", "p"), 66, "no p in your trash")
    assert who.ssh("rm", "p", "--yes").status == 0
    one_line(who.ssh("trash", "empty", "p", stdin="no\n"), 64, "not the project's name")
    assert who.ssh("trash", "empty", "p", stdin="p\n").status == 0
    assert who.ssh("trash").out == "the trash is empty\n"
    assert len(who.gateway.events("deleted", fingerprint=who.fingerprint)) == 1
