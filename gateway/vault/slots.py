"""Slots: the ways to unlock a vault.

A slot is two files in the vault's `slots/`: `<slot>.conf`, a standard gocryptfs config file that wraps the master key
under a secret, and `<slot>.toml`, which names the kind of secret. The kind determines how the caller's input becomes
the secret; the files are the same for all kinds.
"""

from __future__ import annotations

import os
from enum import Enum

from gateway.base import files, process, toml
from gateway.base.records import Fd, Record
from gateway.errors import DamagedVault
from gateway.identity.names import SlotName
from gateway.vault import damage, gocryptfs_config

_RESTORE = "a sysadmin can restore slots/ from a backup"
_MAX_SLOTS = 256
"""More than anybody has."""


class Kind(Enum):
    """Where the secret comes from: typed, derived from an SSH signature over `salt`, or printed once for recovery."""

    PASSPHRASE = "passphrase"  # noqa: S105 - a word of the format
    SSH_KEY = "ssh-key"
    RECOVERY = "recovery"


class Slot(Record):
    """`created` is UTC in RFC 3339; `fingerprint` is of the key that created the slot; `salt` is hexadecimal or "".

    `binding` binds the config file to its vault (gateway.vault.gocryptfs_config); "" in a slot from before there was
    one: nothing tells that the slot is this vault's then, before its key is tried.
    """

    name: SlotName
    kind: Kind
    label: str
    created: str
    fingerprint: str
    salt: str = ""
    binding: str = ""

    def dump(self) -> str:
        fields = {key: value for key, value in self.as_dict().items() if key not in ("name", "kind")}
        return toml.dump({"kind": self.kind.value, **fields})


def config_path(directory: str, name: SlotName) -> str:
    """The gocryptfs config file of slot `name`."""
    return os.path.join(directory, f"{name}.conf")


def description_path(directory: str, name: SlotName) -> str:
    """The file that describes slot `name`."""
    return os.path.join(directory, f"{name}.toml")


def load(project: str, directory: str, vault_id: str) -> tuple[Slot, ...]:
    """All slots in the `slots/` of a project's vault, sorted by name.

    Raises DamagedVault if one is not valid or not this vault's, or there is none, and Misconfigured.
    """
    try:
        names = sorted(entry.removesuffix(".toml") for entry in os.listdir(directory) if entry.endswith(".toml"))
        if len(names) > _MAX_SLOTS:
            raise ValueError("too many slots")
        slots = tuple(_load(directory, SlotName(name), vault_id)[0] for name in names if SlotName.accepts(name))
    except (OSError, ValueError, TypeError) as error:
        raise damage.error(project, "its unlock slots cannot be read", _RESTORE, error) from error
    if not slots:
        raise DamagedVault(f"{project} is damaged: it has no unlock slot", _RESTORE)
    return slots


def open_config(project: str, directory: str, name: SlotName, vault_id: str) -> Fd:
    """The config of slot `name`, as it was checked, in a memory file that the caller closes. Raises what `load` raises.

    gocryptfs gets this one: the file could be another by the time that it is opened again.
    """
    try:
        return Fd(process.memory_file(_load(directory, name, vault_id)[1].encode()))
    except (OSError, ValueError, TypeError) as error:
        raise damage.error(project, "its unlock slots cannot be read", _RESTORE, error) from error


def _load(directory: str, name: SlotName, vault_id: str) -> tuple[Slot, str]:
    description = files.read(description_path(directory, name), toml.MAX_BYTES).decode()
    values = {key: located.value for key, located in toml.parse(description).items()}
    text = {key: value for key, value in values.items() if isinstance(value, str)}
    if text.keys() != values.keys():
        raise TypeError("a slot's fields are strings")
    slot = Slot(name=name, kind=Kind(text.pop("kind", "")), **text)
    config = gocryptfs_config.checked(files.read(config_path(directory, name), gocryptfs_config.MAX_BYTES))
    if slot.binding and slot.binding != gocryptfs_config.binding(vault_id, config):
        raise ValueError("the slot is another vault's")
    return slot, config
