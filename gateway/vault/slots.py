"""Slots: the ways to unlock a vault.

A slot is a pair of files in the vault's `slots/`: `<slot>.conf`, a standard gocryptfs config file that wraps the
master key under some secret, and `<slot>.toml`, which says what kind of secret that is. What turns a caller's
input into the secret for gocryptfs is the kind's business alone; the layout is the same for all.
"""

from __future__ import annotations

import os
from enum import Enum

from gateway.base import toml
from gateway.base.records import Record
from gateway.errors import DamagedVault
from gateway.identity.names import SlotName


class Kind(Enum):
    """How the secret comes about: typed; derived from an SSH signature over `salt`; or printed once on paper."""

    PASSPHRASE = "passphrase"  # noqa: S105 - a word of the format
    SSH_KEY = "ssh-key"
    RECOVERY = "recovery"


class Slot(Record):
    """`created` is UTC in RFC 3339; `fingerprint` is the key that made the slot; `salt` is hexadecimal or empty."""

    name: SlotName
    kind: Kind
    label: str
    created: str
    fingerprint: str
    salt: str = ""

    def dump(self) -> str:
        fields = {key: value for key, value in self.as_dict().items() if key not in ("name", "kind")}
        return toml.dump({"kind": self.kind.value, **fields})


def config_path(directory: str, name: SlotName) -> str:
    """The gocryptfs config file of slot `name`."""
    return os.path.join(directory, f"{name}.conf")


def description_path(directory: str, name: SlotName) -> str:
    """What kind of slot `name` is."""
    return os.path.join(directory, f"{name}.toml")


def load(directory: str) -> tuple[Slot, ...]:
    """All slots in a vault's `slots/`, by name. Raises DamagedVault unless there is at least one, and all are sound."""
    try:
        names = sorted(entry.removesuffix(".toml") for entry in os.listdir(directory) if entry.endswith(".toml"))
        slots = tuple(_load(directory, SlotName(name)) for name in names if SlotName.accepts(name))
    except (OSError, toml.PlainTomlError, ValueError, TypeError) as error:
        raise DamagedVault("the project's unlock slots cannot be read", "a sysadmin can restore slots/") from error
    if not slots:
        raise DamagedVault("the project has no unlock slot", "a sysadmin can restore slots/ from a backup")
    return slots


def _load(directory: str, name: SlotName) -> Slot:
    with open(description_path(directory, name), encoding="utf-8") as file:
        values = {key: located.value for key, located in toml.parse(file.read()).items()}
    text = {key: value for key, value in values.items() if isinstance(value, str)}
    if text.keys() != values.keys():
        raise TypeError("a slot's fields are strings")
    if os.stat(config_path(directory, name)).st_size == 0:
        raise ValueError("the slot's config file is empty")
    return Slot(name=name, kind=Kind(text.pop("kind", "")), **text)
