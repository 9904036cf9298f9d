"""`enc init --invite`: from a code to a key that works, and what is wrong with a code leaves nothing."""

from __future__ import annotations

import base64
import re
import subprocess
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.harness import Gateway, Person, Result, Terminal, admin
from tests.laptop import Laptop, laptop


@pytest.fixture
def mine(gateway: Gateway, tmp_path: Path) -> Iterator[Laptop]:
    """A laptop without a key, whose ssh knows no host."""
    config = gateway.ssh_config.read_text()
    config = re.sub(r"(?m)^.*(UserKnownHostsFile|IdentityFile) .*\n", "", config)
    (tmp_path / "ssh_config").write_text(f"{config}    UserKnownHostsFile {tmp_path}/known_hosts\n")
    with laptop(Person(gateway, "invited", tmp_path / "id")) as made:
        yield made


def invited(gateway: Gateway, host: str = "host_ed25519.pub") -> str:
    made = admin(gateway, "key", "invite", "invited", "--json", "--host-key", str(gateway.root / host))
    return str(made.json["code"])


def init(mine: Laptop, at: Path, code: str, *words: str) -> Result:
    own = {"ENC_SSH_CONFIG": str(at / "ssh_config"), "ENC_IDENTITY": str(at / "id")}
    return mine.enc("init", "--invite", "-", *words, stdin=code + "\n", **own)


def nothing_was_set_up(mine: Laptop, at: Path, done: Result, status: int, said: str) -> None:
    assert done.status == status and said in done.err, done
    assert [line for line in done.err.splitlines() if line.startswith("enc: ")] == done.err.splitlines()[-1:]
    assert not (at / "id").exists() and not (at / "id.pub").exists()
    assert not (mine.home / ".config/enc/config.toml").exists()
    assert not list(mine.runtime.glob("enc/invite-*"))


def test_a_code_becomes_a_key_that_works_once_it_is_approved(gateway: Gateway, mine: Laptop, tmp_path: Path) -> None:
    code = invited(gateway)
    done = init(mine, tmp_path, code, "--json")
    assert done.status == 0 and code not in done.out + done.err, done
    own = {"ENC_HOST": "", "ENC_SSH_CONFIG": "", "ENC_IDENTITY": ""}
    assert mine.enc("ls", **own).status == 77, "nothing is open before a sysadmin has said so"
    assert done.json["fingerprint"] == mine.who.fingerprint
    assert admin(gateway, "key", "approve", mine.who.fingerprint).status == 0
    listed = mine.enc("ls", **own)
    assert listed.status == 0, listed
    realm = (gateway.vaults / ".realm").read_text().strip()
    assert f'realm = "{realm}"' in (mine.home / ".config/enc/config.toml").read_text(), "its key may unlock at once"
    assert not list(mine.runtime.glob("enc/invite-*"))
    mine.enc("logout", "--all", **own)


def test_a_key_that_is_there_is_handed_in_as_it_is_and_a_used_code_says_so(
    gateway: Gateway, mine: Laptop, tmp_path: Path
) -> None:
    code = invited(gateway)
    assert init(mine, tmp_path, code).status == 0
    before = (tmp_path / "id").read_bytes()
    again = init(mine, tmp_path, code)
    assert again.status == 77 and "already been used" in again.err
    assert (tmp_path / "id").read_bytes() == before
    assert init(mine, tmp_path, invited(gateway)).status == 0
    assert (tmp_path / "id").read_bytes() == before


def test_a_code_that_is_no_longer_good_or_no_code_leaves_nothing(
    gateway: Gateway, mine: Laptop, tmp_path: Path
) -> None:
    for wrong in ("", "nonsense", "enc1-AAAA", invited(gateway)[:-1], invited(gateway)[:-6] + "AAAAAA"):
        nothing_was_set_up(mine, tmp_path, init(mine, tmp_path, wrong), 64, "not an invitation code")
    text = gateway.authorized_keys.read_text()
    code = invited(gateway)
    gateway.authorized_keys.write_text(text)
    nothing_was_set_up(mine, tmp_path, init(mine, tmp_path, code), 77, "has expired or was withdrawn")


def test_a_host_that_is_not_the_one_of_the_code_gets_nothing(gateway: Gateway, mine: Laptop, tmp_path: Path) -> None:
    other = gateway.person("other-host")
    code = invited(gateway, str(other.key) + ".pub")
    before = gateway.events("enrolled")
    nothing_was_set_up(mine, tmp_path, init(mine, tmp_path, code), 76, "not the one in the invitation")
    assert not (tmp_path / "known_hosts").exists() and gateway.events("enrolled") == before


def without_host_key(code: str) -> str:
    payload = base64.urlsafe_b64decode(code.removeprefix("enc1-") + "==")[:64] + bytes(32)
    return "enc1-" + base64.urlsafe_b64encode(payload + zlib.crc32(payload).to_bytes(4, "big")).decode().rstrip("=")


def host_fingerprint(gateway: Gateway) -> str:
    said = subprocess.run(["ssh-keygen", "-lf", gateway.root / "host_ed25519.pub"], capture_output=True, check=True)
    return said.stdout.decode().split()[1]


def test_a_code_that_has_expired_leaves_nothing(gateway: Gateway, mine: Laptop, tmp_path: Path) -> None:
    code = invited(gateway)
    lines = gateway.authorized_keys.read_text().splitlines(keepends=True)
    lines[-1] = re.sub(r'expiry-time="\d{4}', 'expiry-time="2001', lines[-1])
    gateway.authorized_keys.write_text("".join(lines))
    nothing_was_set_up(mine, tmp_path, init(mine, tmp_path, code), 77, "has expired or was withdrawn")


def test_a_code_without_a_host_key_wants_a_fingerprint(gateway: Gateway, mine: Laptop, tmp_path: Path) -> None:
    code = without_host_key(invited(gateway))
    nothing_was_set_up(mine, tmp_path, init(mine, tmp_path, code), 76, "--fingerprint")
    wrong = init(mine, tmp_path, code, "--fingerprint", "SHA256:other")
    nothing_was_set_up(mine, tmp_path, wrong, 76, "not the one that you gave with --fingerprint")
    assert not (tmp_path / "known_hosts").exists()
    done = init(mine, tmp_path, code, "--fingerprint", host_fingerprint(gateway))
    assert done.status == 0 and (tmp_path / "known_hosts").exists(), done


def at_a_terminal(mine: Laptop, at: Path) -> Terminal:
    return mine.terminal(ENC_SSH_CONFIG=str(at / "ssh_config"), ENC_IDENTITY=str(at / "id"), ENC_HOST="")


def test_a_code_typed_at_a_terminal_is_not_shown_and_the_new_key_may_have_a_passphrase(
    gateway: Gateway, mine: Laptop, tmp_path: Path
) -> None:
    code = invited(gateway)
    terminal = at_a_terminal(mine, tmp_path)
    terminal.send("enc init --host gateway --invite -\n")
    terminal.expect("Invitation code: ")
    terminal.send(code + "\n")
    for _ in range(2):
        terminal.expect("passphrase")
        terminal.expect(": ")
        terminal.send("of the key\n")
    terminal.expect("Once they have approved it")
    terminal.close()
    assert code[5:50] not in terminal.seen and "of the key" not in terminal.seen
    opened = subprocess.run(["ssh-keygen", "-yf", tmp_path / "id", "-P", ""], capture_output=True, check=False)
    assert opened.returncode != 0, "the key has the passphrase"


def test_where_the_key_is_not_accepted_a_code_is_asked_for(gateway: Gateway, mine: Laptop, tmp_path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "id"], check=True)
    config, code = mine.home / ".config/enc/config.toml", invited(gateway)
    for answer, end in (("", "does not accept your key; give your sysadmin"), (code, "Once they have approved it")):
        terminal = at_a_terminal(mine, tmp_path)
        terminal.send("enc init --host gateway\n")
        if not answer:
            terminal.expect("Is this the fingerprint that your sysadmin gave you?")
            terminal.send("y\n")
        terminal.expect("Invitation code (Enter if you have none): ")
        terminal.send(f"{answer}\n")
        terminal.expect(end)
        terminal.close()
        assert code[5:50] not in terminal.seen
        assert config.exists() == bool(answer)
    assert admin(gateway, "key", "approve", mine.who.fingerprint).status == 0
    assert mine.enc("ls", ENC_HOST="", ENC_SSH_CONFIG="", ENC_IDENTITY="").status == 0


PROXY = """#!/usr/bin/python3
import os, select, socket
open({count!r}, "a").write("x")
sock = socket.create_connection(("127.0.0.1", {ports}[os.path.getsize({count!r}) > {honest}]))
while True:
    for fd in select.select([0, sock.fileno()], [], [])[0]:
        data = os.read(fd, 65536)
        if not data:
            raise SystemExit
        sock.sendall(data) if fd == 0 else os.write(1, data)
"""
"""A ProxyCommand that leads to another host after the first `honest` connections."""

CHANGES = [
    pytest.param(("--fingerprint",), 2, id="fingerprint"),
    pytest.param(("--invite", "-"), 2, id="invitation"),
]


@pytest.mark.parametrize(("words", "honest"), CHANGES)
def test_a_host_that_then_shows_another_key_is_refused_and_not_recorded(
    gateway: Gateway, make_gateway: Callable[..., Gateway], mine: Laptop, tmp_path: Path, words: tuple[str, ...],
    honest: int,
) -> None:  # fmt: skip
    other = make_gateway()
    code, count = invited(gateway), tmp_path / "count"
    count.write_text("")
    proxy = tmp_path / "proxy"
    proxy.write_text(PROXY.format(count=str(count), honest=honest, ports=[gateway.ready["port"], other.ready["port"]]))
    proxy.chmod(0o700)
    config = tmp_path / "ssh_config"
    config.write_text(config.read_text() + f"    ProxyCommand {proxy}\n")
    known, before = tmp_path / "known_hosts", "# a comment\n"
    known.write_text(before)
    more = (host_fingerprint(gateway),) if words == ("--fingerprint",) else ()
    own = {"ENC_SSH_CONFIG": str(config), "ENC_IDENTITY": "" if more else str(tmp_path / "id")}
    done = mine.enc("init", *words, *more, stdin=code + "\n", **own)
    nothing_was_set_up(mine, tmp_path, done, 76, "is not the one in")
    assert known.read_text() == before
