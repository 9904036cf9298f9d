"""What a sysadmin sees of the ways to unlock: vaults, doctor, key revoke, backup and restore."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness import PASSPHRASE, Gateway, Person, Result, admin
from tests.system.test_slots import add_key, by_key, opens, signed_twice


def unlocking(gateway: Gateway) -> list[dict[str, str]]:
    found = json.loads(admin(gateway, "doctor", "--json").out)["findings"]
    return [each for each in found if each["subject"] == "unlocking"]


@pytest.fixture
def keyed(make_gateway: Callable[..., Gateway]) -> Person:
    """dev1, with a project `k` that only the key unlocks, and `p` with a passphrase and the key."""
    who = make_gateway().person("dev1", "dev1")
    who.new("p")
    assert add_key(who, "p").status == 0
    assert who.ssh("new", "k", "--key", "--no-recovery", stdin=signed_twice(who, "k")).status == 0
    return who


def test_revoking_a_key_says_what_it_still_unlocks_and_doctor_what_nobody_does(keyed: Person) -> None:
    gateway = keyed.gateway
    (finding,) = unlocking(gateway)
    assert finding["level"] == "OK" and "2 projects" in finding["state"]
    listed = json.loads(admin(gateway, "vaults", "--json").out)["vaults"]
    assert {each["project"]: each["slots"] for each in listed} == {
        "k": ["key (ssh-key)"],
        "p": ["key (ssh-key)", "passphrase (passphrase)"],
    }
    second = gateway.person("second", "dev1")
    done = admin(gateway, "key", "revoke", keyed.fingerprint)
    assert done.status == 0 and "still a way to unlock dev1/k (key), dev1/p (key)" in done.out, done
    (finding,) = unlocking(gateway)
    assert finding["level"] == "WARN" and "dev1/k" in finding["state"] and "dev1/p" not in finding["state"]
    assert second.ssh("slot", "rm", "p", "key", stdin=PASSPHRASE + "\n").status == 0
    done = admin(gateway, "key", "revoke", second.fingerprint)
    assert "still" not in done.out
    (finding,) = unlocking(gateway)
    assert "dev1/k" in finding["state"] and "dev1/p" in finding["state"]


def restored(gateway: Gateway, backup: Path, name: str) -> Result:
    return admin(gateway, "restore", str(backup), "dev1", "p", "--as", name)


def test_a_backup_has_slots_and_realm_and_a_new_gateway_takes_both(
    keyed: Person, make_gateway: Callable[..., Gateway], ground: Path
) -> None:
    backup = ground / "backup"
    assert admin(keyed.gateway, "backup", str(backup)).status == 0
    realm = (keyed.gateway.vaults / ".realm").read_text()
    assert (backup / ".realm").read_text() == realm
    fresh = make_gateway()
    assert not (fresh.vaults / ".realm").exists()
    assert restored(fresh, backup, "p").status == 0
    assert (fresh.vaults / ".realm").read_text() == realm
    with fresh.authorized_keys.open("a") as file:
        file.write(f'environment="ENC_USER=dev1" {Path(f"{keyed.key}.pub").read_text()}')
    there = Person(fresh, "dev1", keyed.key)
    assert opens(there, "p", by_key(there, "p"))


def test_a_gateway_with_another_realm_takes_the_passphrase_and_doctor_says_why(
    keyed: Person, make_gateway: Callable[..., Gateway], ground: Path
) -> None:
    backup = ground / "backup"
    assert admin(keyed.gateway, "backup", str(backup)).status == 0
    other = make_gateway()
    somebody = other.person("somebody")
    assert somebody.ssh("whoami", "--json").json["realm"] != (backup / ".realm").read_text().strip()
    assert restored(other, backup, "p").status == 0
    with other.authorized_keys.open("a") as file:
        file.write(f'environment="ENC_USER=dev1" {Path(f"{keyed.key}.pub").read_text()}')
    there = Person(other, "dev1", keyed.key)
    asked = there.ssh("challenge", "p")
    assert asked.status == 64 and "another realm" in asked.err, asked
    assert opens(there, "p", PASSPHRASE + "\n")
    assert [each["level"] for each in unlocking(other) if "realm" in each["state"]] == ["FAIL"]
