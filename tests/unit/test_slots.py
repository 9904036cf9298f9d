"""Slots: written and read back, and refused as a whole where one of them is not sound."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import DamagedVault, EncError
from gateway.identity.names import SlotName
from gateway.vault import gocryptfs_config
from gateway.vault.slots import stored as slots
from gateway.vault.slots.stored import Kind, Role, Slot


def slot(name: str = "passphrase", kind: Kind = Kind.PASSPHRASE, **more: str) -> Slot:
    """As it is stored, bound to CONFIG and VAULT."""
    made = Slot(
        name=SlotName.of(name), kind=kind, label="laptop", created="2024-01-01T00:00:00Z", fingerprint="SHA256:x", id=ID
    )
    return made.replace(**more).bound(VAULT, gocryptfs_config.checked(json.dumps(CONFIG).encode()))


def old_slot(binding: str = "") -> Slot:
    """One of version 1."""
    return slot().replace(version=1, id="", binding=binding)


ID = "0011223344556677"
CONFIG = {
    "Creator": "gocryptfs 2.3",
    "EncryptedKey": "a2V5",
    "ScryptObject": {"Salt": "c2FsdA==", "N": 65536, "R": 8, "P": 1, "KeyLen": 32},
    "Version": 2,
    "FeatureFlags": ["HKDF", "GCMIV128", "DirIV", "EMENames", "LongNames", "Raw64"],
}
VAULT = "0123456789abcdef"
FIRST_FORMAT = """\
kind = "passphrase"
label = "passphrase"
created = "2024-01-01T00:00:00Z"
fingerprint = "SHA256:x"
salt = ""
"""


def write(directory: Path, *some: Slot) -> None:
    for one in some:
        Path(slots.description_path(str(directory), one.name)).write_text(one.dump())
        Path(slots.config_path(str(directory), one.name)).write_text(json.dumps(CONFIG))


def load(directory: Path) -> tuple[Slot, ...]:
    return slots.load("p", str(directory), VAULT)


def test_slots_of_every_kind_are_read_as_they_were_written_by_name(tmp_path: Path) -> None:
    made = [
        slot("recovery", Kind.RECOVERY),
        slot("passphrase"),
        slot("key-1", Kind.SSH_KEY, salt="00ff" * 16, public_key="AAAA", label='dev@host "x"'),
    ]
    write(tmp_path, *made)
    assert load(tmp_path) == (made[2], made[1], made[0])


@given(st.text(st.characters(codec="utf-8")))
def test_any_label_is_read_back(tmp_path_factory: pytest.TempPathFactory, label: str) -> None:
    directory = tmp_path_factory.mktemp("slots")
    write(directory, slot(label=label))
    assert load(directory) == (slot(label=label),)


def test_a_slots_files_lie_side_by_side() -> None:
    assert slots.config_path("/v/slots", SlotName.of("a")) == "/v/slots/a.conf"
    assert slots.description_path("/v/slots", SlotName.of("a")) == "/v/slots/a.toml"


def replaced(old: str, new: str) -> Callable[[Path], object]:
    def change(directory: Path) -> None:
        file = directory / "b.toml"
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))

    return change


def fifo_config(directory: Path) -> None:
    (directory / "b.conf").unlink()
    os.mkfifo(directory / "b.conf")


def linked_config(directory: Path) -> None:
    (directory / "b.conf").rename(directory / "elsewhere")
    (directory / "b.conf").symlink_to(directory / "elsewhere")


def many(directory: Path, number: int) -> None:
    write(directory, *(slot(f"s{one}") for one in range(number)))


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda directory: (directory / "b.conf").unlink(), id="no config file"),
        pytest.param(lambda directory: (directory / "b.conf").write_text(""), id="an empty config file"),
        pytest.param(lambda directory: (directory / "b.toml").write_text(""), id="an empty description"),
        pytest.param(lambda directory: (directory / "b.toml").write_text("kind ="), id="a truncated description"),
        pytest.param(lambda directory: (directory / "b.toml").write_bytes(b"\xff"), id="a description not in UTF-8"),
        pytest.param(lambda directory: (directory / "c.toml").write_text(slot().dump()), id="a description alone"),
        pytest.param(lambda directory: (directory / "c.toml").mkdir(), id="a directory for a description"),
        pytest.param(lambda directory: os.mkfifo(directory / "c.toml"), id="a FIFO for a description"),
        pytest.param(fifo_config, id="a FIFO for a config file"),
        pytest.param(linked_config, id="a link for a config file"),
        pytest.param(lambda directory: os.truncate(directory / "b.conf", 1 << 30), id="a config file of 1 GiB"),
        pytest.param(lambda directory: (directory / "b.toml").write_text("#" * 70_000), id="a long description"),
        pytest.param(lambda directory: many(directory, 300), id="300 slots"),
        pytest.param(replaced('kind = "passphrase"\n', ""), id="no kind"),
        pytest.param(replaced("passphrase", "password"), id="an unknown kind"),
        pytest.param(replaced('kind = "passphrase"', "kind = 1"), id="a kind that is a number"),
        pytest.param(replaced('label = "laptop"\n', ""), id="a field missing"),
        pytest.param(replaced('label = "laptop"', "label = true"), id="a field of another type"),
        pytest.param(replaced("label =", "labels ="), id="an unknown field"),
        pytest.param(replaced("label =", "name ="), id="a name of its own"),
    ],
)
def test_one_slot_that_is_not_sound_refuses_all(tmp_path: Path, damage: Callable[[Path], object]) -> None:
    write(tmp_path, slot("a"), slot("b"))
    assert len(load(tmp_path)) == 2
    damage(tmp_path)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(DamagedVault) as caught:
        load(tmp_path)
    assert caught.value.line().isprintable()
    assert sorted(tmp_path.iterdir()) == before


def test_no_slot_and_no_directory_are_damage(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    (tmp_path / ".b.toml").touch()
    for path in (tmp_path, tmp_path / "none", tmp_path / "notes.txt"):
        with pytest.raises(DamagedVault):
            load(path)


@given(st.binary(max_size=200))
def test_whatever_a_description_holds_it_is_a_slot_or_damage(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    directory = tmp_path_factory.mktemp("slots")
    write(directory, slot())
    (directory / "passphrase.toml").write_bytes(content)
    try:
        load(directory)
    except EncError as error:
        assert isinstance(error, DamagedVault)


# the config files of gocryptfs


def config(**changes: object) -> bytes:
    """CONFIG with other values; those of ScryptObject by their own names."""
    scrypt = {name: changes.pop(name, value) for name, value in CONFIG["ScryptObject"].items()}  # type: ignore[attr-defined]
    return json.dumps({**CONFIG, "ScryptObject": scrypt, **changes}).encode()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(config(P=1_000_000), id="20 s of processor"),
        pytest.param(config(N=1 << 19), id="512 MiB"),
        pytest.param(config(N=1 << 28), id="256 GiB"),
        pytest.param(config(R=1 << 20), id="a large r"),
        pytest.param(config(KeyLen=1 << 31), id="a long key"),
        pytest.param(config(N=2), id="next to nothing"),
        pytest.param(config(N=65537), id="no power of two"),
        pytest.param(config(N=-65536), id="a negative cost"),
        pytest.param(config(N=65536.0), id="a cost that is no integer"),
        pytest.param(config(N=True), id="a cost that is a truth value"),
        pytest.param(config(scryptobject={"n": 1 << 28}), id="a second cost, which Go would take"),
        pytest.param(config(FeatureFlags=["PlaintextNames", "GCMIV128"]), id="names in plaintext"),
        pytest.param(config(FeatureFlags=[["HKDF"]]), id="a flag that is a list"),
        pytest.param(config(FeatureFlags=None), id="no flags"),
        pytest.param(config(EncryptedKey=1), id="a key that is a number"),
        pytest.param(config(FIDO2={}), id="an unknown field"),
        pytest.param(b'{"ScryptObject": 1}', id="fields missing"),
        pytest.param(b"[" * 100_000, id="deep"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"\xff", id="not in UTF-8"),
    ],
)
def test_a_config_that_gocryptfs_must_not_get_is_damage(tmp_path: Path, content: bytes) -> None:
    write(tmp_path, slot())
    (tmp_path / "passphrase.conf").write_bytes(content)
    for look in (load, lambda directory: slots.open_config("p", str(directory), SlotName("passphrase"), VAULT)):
        with pytest.raises(DamagedVault, match="its unlock slots cannot be read"):
            look(tmp_path)


@pytest.mark.parametrize("content", [config(), config(N=1 << 10), config(N=1 << 18), config(LongNameMax=200)])
def test_gocryptfs_gets_the_config_that_was_checked(tmp_path: Path, content: bytes) -> None:
    """Also when a field stands there twice (Go would merge the two), or the file is replaced afterwards."""
    write(tmp_path, old_slot())
    (tmp_path / "passphrase.conf").write_bytes(b'{"ScryptObject": {"N": 268435456, "X": 1}, ' + content[1:])
    fd = slots.open_config("p", str(tmp_path), SlotName("passphrase"), VAULT)
    (tmp_path / "passphrase.conf").unlink()
    with os.fdopen(fd, "rb") as file:
        given = file.read()
    assert json.loads(given) == json.loads(content) and b"268435456" not in given


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda checked: slot().bound(VAULT, checked), id="version 2"),
        pytest.param(lambda checked: old_slot(gocryptfs_config.binding(VAULT, checked)), id="version 1"),
    ],
)
def test_a_slot_of_another_vault_is_damage(tmp_path: Path, make: Callable[[str], Slot]) -> None:
    checked = gocryptfs_config.checked(config())
    write(tmp_path, make(checked))
    assert len(load(tmp_path)) == 1
    with pytest.raises(DamagedVault):
        slots.load("p", str(tmp_path), "another")
    (tmp_path / "passphrase.conf").write_bytes(config(EncryptedKey="b3RoZXI="))
    with pytest.raises(DamagedVault):
        load(tmp_path)


def test_a_slot_from_before_there_was_a_binding_is_taken(tmp_path: Path) -> None:
    write(tmp_path, old_slot())
    (tmp_path / "passphrase.toml").write_text(FIRST_FORMAT)
    (found,) = load(tmp_path)
    assert (found.version, found.binding, found.id, found.role, found.principal) == (1, "", "", Role.OWNER, "")


ALTERED = [
    ("kind", '"passphrase"', '"recovery"'),
    ("role", '"owner"', '"reader"'),
    ("principal", '""', '"mallory"'),
    ("expires", '""', '"2030-01-01T00:00:00Z"'),
    ("id", '"0011223344556677"', '"ff11223344556677"'),
    ("label", '"laptop"', '"desktop"'),
    ("fingerprint", '"SHA256:x"', '"SHA256:y"'),
    ("version", "2", "1"),
    ("version", "2", "3"),
    ("version", "2", '"2"'),
    ("version", "2", "true"),
]


@pytest.mark.parametrize(("field", "old", "new"), ALTERED)
def test_a_slot_of_which_one_field_was_altered_is_damage(tmp_path: Path, field: str, old: str, new: str) -> None:
    write(tmp_path, slot())
    description = tmp_path / "passphrase.toml"
    text = description.read_text()
    assert f"{field} = {old}\n" in text
    description.write_text(text.replace(f"{field} = {old}\n", f"{field} = {new}\n"))
    with pytest.raises(DamagedVault):
        load(tmp_path)


@pytest.mark.parametrize("more", [{"salt": ""}, {"salt": "00" * 31}, {"public_key": ""}])
def test_a_key_slot_without_salt_or_key_is_damage(tmp_path: Path, more: dict[str, str]) -> None:
    write(tmp_path, slot("key", Kind.SSH_KEY, **{"salt": "00" * 32, "public_key": "AAAA", **more}))
    with pytest.raises(DamagedVault):
        load(tmp_path)


@given(
    st.binary(max_size=300)
    | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps).map(str.encode)
)
def test_whatever_a_config_holds_it_is_checked_or_refused(content: bytes) -> None:
    try:
        assert isinstance(gocryptfs_config.checked(content), str)
    except ValueError:
        return
