"""Slots: written and read back, and refused as a whole where one of them is not sound."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import DamagedVault, EncError
from gateway.identity.names import SlotName
from gateway.vault import slots
from gateway.vault.slots import Kind, Slot


def slot(name: str = "passphrase", kind: Kind = Kind.PASSPHRASE, **more: str) -> Slot:
    return Slot(
        name=SlotName.of(name),
        kind=kind,
        label=more.get("label", "laptop"),
        created="2024-01-01T00:00:00Z",
        fingerprint="SHA256:x",
        salt=more.get("salt", ""),
    )


def write(directory: Path, *some: Slot) -> None:
    for one in some:
        Path(slots.description_path(str(directory), one.name)).write_text(one.dump())
        Path(slots.config_path(str(directory), one.name)).write_text("{}")


def test_slots_of_every_kind_are_read_as_they_were_written_by_name(tmp_path: Path) -> None:
    made = [
        slot("recovery", Kind.RECOVERY),
        slot("passphrase"),
        slot("key-1", Kind.SSH_KEY, salt="00ff", label='dev@host "x"'),
    ]
    write(tmp_path, *made)
    assert slots.load(str(tmp_path)) == (made[2], made[1], made[0])


@given(st.text(st.characters(codec="utf-8")))
def test_any_label_is_read_back(tmp_path_factory: pytest.TempPathFactory, label: str) -> None:
    directory = tmp_path_factory.mktemp("slots")
    write(directory, slot(label=label))
    assert slots.load(str(directory)) == (slot(label=label),)


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
    assert len(slots.load(str(tmp_path))) == 2
    damage(tmp_path)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(DamagedVault) as caught:
        slots.load(str(tmp_path))
    assert caught.value.line().isprintable()
    assert sorted(tmp_path.iterdir()) == before


def test_no_slot_and_no_directory_are_damage(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    (tmp_path / ".b.toml").touch()
    for path in (tmp_path, tmp_path / "none", tmp_path / "notes.txt"):
        with pytest.raises(DamagedVault):
            slots.load(str(path))


@given(st.binary(max_size=200))
def test_whatever_a_description_holds_it_is_a_slot_or_damage(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    directory = tmp_path_factory.mktemp("slots")
    write(directory, slot())
    (directory / "passphrase.toml").write_bytes(content)
    try:
        slots.load(str(directory))
    except EncError as error:
        assert isinstance(error, DamagedVault)
