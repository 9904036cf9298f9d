"""`enc init --invite`: from a code to a key that works, and what is wrong with a code leaves nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import Gateway, Person, Result, admin
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
    assert not list(mine.runtime.glob("enc/invite-*"))
    mine.enc("logout", "--all", **own)


def test_a_key_that_is_there_is_handed_in_as_it_is_and_a_used_code_says_so(
    gateway: Gateway, mine: Laptop, tmp_path: Path
) -> None:
    code = invited(gateway)
    assert init(mine, tmp_path, code).status == 0
    before = (tmp_path / "id").read_bytes()
    again = init(mine, tmp_path, code)
    assert again.status == 77 and "used already" in again.err
    assert (tmp_path / "id").read_bytes() == before
    assert init(mine, tmp_path, invited(gateway)).status == 0
    assert (tmp_path / "id").read_bytes() == before


def test_a_code_that_is_no_longer_good_or_no_code_leaves_nothing(
    gateway: Gateway, mine: Laptop, tmp_path: Path
) -> None:
    for wrong in ("", "nonsense", "enc1-AAAA", invited(gateway)[:-1], invited(gateway)[:-6] + "AAAAAA"):
        nothing_was_set_up(mine, tmp_path, init(mine, tmp_path, wrong), 64, "no invitation code")
    text = gateway.authorized_keys.read_text()
    code = invited(gateway)
    gateway.authorized_keys.write_text(text)
    nothing_was_set_up(mine, tmp_path, init(mine, tmp_path, code), 77, "no longer good")


def test_a_host_that_is_not_the_one_of_the_code_gets_nothing(gateway: Gateway, mine: Laptop, tmp_path: Path) -> None:
    other = gateway.person("other-host")
    code = invited(gateway, str(other.key) + ".pub")
    before = gateway.events("enrolled")
    nothing_was_set_up(mine, tmp_path, init(mine, tmp_path, code), 76, "not the one of the invitation")
    assert not (tmp_path / "known_hosts").exists() and gateway.events("enrolled") == before
