"""One rule for passphrases at both doors, and every spelling opens what was made before there was one."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator

import pytest

from tests.harness import PASSPHRASE, Gateway, Person, Terminal, bindir
from tests.laptop import Laptop, laptop

NFC, NFD = "schl\u00fcssel \u00e4\u00f6\u00fc".encode(), "schlu\u0308ssel a\u0308o\u0308u\u0308".encode()
PLAIN = b"correct horse battery"
BOM = "\ufeff".encode()


@pytest.fixture
def mine(person: Person) -> Iterator[Laptop]:
    with laptop(person) as made:
        yield made


def opens(mine: Laptop, project: str, line: bytes) -> bool:
    """Whether `enc mount` and `ssh gateway fsck` take the line; they agree."""
    checked = mine.who.ssh("fsck", project, stdin=line)
    done = subprocess.run([*mine.environment(), "enc", "mount", project], input=line, capture_output=True, check=False)
    assert done.returncode == checked.status in (0, 77), (done, checked)
    if done.returncode == 0:
        assert mine.enc("unmount", project).status == 0
    return done.returncode == 0


MADE = [  # tests/unit/test_passphrases.py has each by itself
    pytest.param(BOM + PLAIN + b"\r\n", PLAIN, id="PowerShell"),
    pytest.param(NFD + b"\n", NFC, id="decomposed"),
]


@pytest.mark.parametrize("door", ["ssh", "enc"])
@pytest.mark.parametrize(("line", "plain"), MADE)
def test_a_project_opens_with_the_plain_passphrase_and_with_the_line_that_made_it(
    mine: Laptop, line: bytes, plain: bytes, door: str
) -> None:
    words = mine.who.argv("new", "one") if door == "ssh" else [*mine.environment(), "enc", "new", "one"]
    done = subprocess.run(words, input=line, capture_output=True, check=False)
    assert done.returncode == 0, done
    assert mine.who.fsck("one", plain.decode()).status == 0, "gocryptfs has the plain one"
    assert opens(mine, "one", plain + b"\n") and opens(mine, "one", line)
    assert not opens(mine, "one", plain + b"x\r\n")


def make_as_before(gateway: Gateway, who: Person, project: str, passphrase: bytes) -> None:
    """Create a project with exactly this passphrase."""
    home = str(who.vault(project).parent)
    code = (
        "import sys; from gateway.vault import lifecycle; from rshell.terminal import questions; "
        "secret = questions.pipe(bytes.fromhex(sys.argv[4]))\n"
        "lifecycle.create(sys.argv[1], sys.argv[2], sys.argv[3], secret, passphrase_cost=10)"
    )
    words = (str(bindir() / "python"), "-c", code, home, project, who.fingerprint, passphrase.hex())
    done = gateway.as_account(*words)
    assert done.status == 0, done


BEFORE = [
    pytest.param(PLAIN + b"\r", (PLAIN + b"\r",), id="CR"),
    pytest.param(BOM + PLAIN, (BOM + PLAIN,), id="byte order mark"),
    pytest.param(NFD, (NFC, NFD, NFC + b"\r"), id="decomposed"),
    pytest.param(NFC, (NFC, NFD, NFD + b"\r"), id="composed"),
    pytest.param(b"cor\x1b[Drect horse", (b"cor\x1b[Drect horse",), id="an arrow key"),
    pytest.param("schl\u00fcssel".encode("latin-1"), ("schl\u00fcssel".encode("latin-1"),), id="Latin-1"),
]


@pytest.mark.parametrize(("passphrase", "lines"), BEFORE)
def test_what_was_made_before_opens(mine: Laptop, passphrase: bytes, lines: tuple[bytes, ...]) -> None:
    mine.who.new("first")
    make_as_before(mine.gateway, mine.who, "one", passphrase)
    for line in lines:
        assert opens(mine, "one", line + b"\n"), line


@pytest.mark.parametrize("line", [b"correct\0horse battery\n", b"correct \x1b[Dhorse battery\n", b"correct horse\tb\n"])
def test_control_characters_are_refused_in_one_line(mine: Laptop, line: bytes) -> None:
    mine.who.new("one")
    for words in (["new", "two"], ["mount", "one"]):
        for argv in (mine.who.argv(*words), [*mine.environment(), "enc", *words]):
            done = subprocess.run(argv, input=line, capture_output=True, text=False, check=False)
            said = [one for one in done.stderr.decode().splitlines() if "control character" in one]
            assert (done.returncode, len(said)) == (64, 1), done
            assert b"orrect" not in done.stderr
    assert not mine.who.vault("two").exists()


def test_a_wrong_passphrase_with_many_spellings_is_one_failure(mine: Laptop) -> None:
    mine.who.new("one")
    assert mine.who.ssh("mount", "one", stdin=b"\xef\xbb\xbf" + NFD + b"\r\n").status == 77
    own = mine.who.vault("one").parent.name
    (path,) = (path for path in (mine.gateway.root / "run" / "attempts").rglob("*") if own in str(path))
    (line,) = path.read_text().splitlines()
    assert line.split()[:2] == ["one", "1"]


def test_a_key_that_is_no_letter_at_the_prompt_is_said_and_nothing_is_made(mine: Laptop) -> None:
    terminal = mine.terminal()
    terminal.send("enc new one\n")
    terminal.expect("New passphrase of one: ")
    terminal.send("correct horse\x1b[D battery\n")
    terminal.expect("control character (U+001B, character 14)")
    assert "Repeat" not in terminal.seen
    terminal.expect("New passphrase of one: ")
    terminal.close()
    assert not mine.who.vault("one").exists()


def test_bytes_that_are_no_text_at_the_prompt_are_said(mine: Laptop) -> None:
    terminal = Terminal([*mine.environment(LC_ALL="C.UTF-8"), "enc", "new", "one"])
    terminal.expect("New passphrase of one: ")
    terminal.send_bytes(b"correct horse b\xe4ttery\n")
    assert terminal.wait() == 64
    assert "UTF-8" in terminal.seen or "no text" in terminal.seen


def cost(who: Person, project: str) -> int:
    """The cost of the project's passphrase, as a power of 2."""
    config = json.loads((who.vault(project) / "slots" / "passphrase.conf").read_text())
    return int(config["ScryptObject"]["N"]).bit_length() - 1


def test_a_new_passphrase_costs_what_the_gateway_says_and_an_old_one_what_it_did(
    make_gateway: Callable[..., Gateway],
) -> None:
    gateway = make_gateway(**{"passphrase.cost": "16"})
    who = gateway.person("dev")
    for project in ("changed", "kept"):
        who.new(project)
    config = gateway.root / "gateway.toml"
    config.write_text(config.read_text().replace("cost = 16", "cost = 11"))
    done = who.ssh("passwd", "changed", stdin=f"{PASSPHRASE}\nanother good phrase\n")
    assert done.status == 0, done
    assert (cost(who, "changed"), cost(who, "kept")) == (11, 16)
    assert who.fsck("kept").status == 0 and who.fsck("changed", "another good phrase").status == 0
    config.write_text(config.read_text().replace("cost = 11", "cost = 19"))
    refused = who.ssh("new", "more", stdin=f"{PASSPHRASE}\n")
    assert refused.status == 75 and not who.vault("more").exists()
