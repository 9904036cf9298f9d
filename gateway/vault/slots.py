"""Slots: the ways to unlock a vault.

A slot is two files in the vault's `slots/`: `<slot>.conf`, a standard gocryptfs config file that wraps the master key
under a secret, and `<slot>.toml`, which names the kind of secret. The kind determines how the caller's input becomes
the secret; the files are the same for all kinds.
"""

from __future__ import annotations

import os
from enum import Enum

from gateway.base import toml
from gateway.base.records import Record
from gateway.errors import DamagedVault
from gateway.identity.names import SlotName

_RESTORE = "a sysadmin can restore slots/ from a backup"


class Kind(Enum):
    """Where the secret comes from: typed, derived from an SSH signature over `salt`, or printed once for recovery."""

    PASSPHRASE = "passphrase"  # noqa: S105 - a word of the format
    SSH_KEY = "ssh-key"
    RECOVERY = "recovery"


class Slot(Record):
    """`created` is UTC in RFC 3339; `fingerprint` is of the key that created the slot; `salt` is hexadecimal or ""."""

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
    """The file that describes slot `name`."""
    return os.path.join(directory, f"{name}.toml")


def load(directory: str) -> tuple[Slot, ...]:
    """All slots in a vault's `slots/`, sorted by name. Raises DamagedVault if one is not valid, or there is none."""
    try:
        names = sorted(entry.removesuffix(".toml") for entry in os.listdir(directory) if entry.endswith(".toml"))
        slots = tuple(_load(directory, SlotName(name)) for name in names if SlotName.accepts(name))
    except (OSError, toml.PlainTomlError, ValueError, TypeError) as error:
        raise DamagedVault("the project's unlock slots cannot be read", _RESTORE) from error
    if not slots:
        raise DamagedVault("the project has no unlock slot", _RESTORE)
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
