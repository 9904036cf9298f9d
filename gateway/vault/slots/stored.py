"""Slots: the ways to unlock a vault, as they are stored.

A slot is two files in the vault's `slots/`: `<slot>.conf`, a standard gocryptfs config file that wraps the master key
under a secret, and `<slot>.toml`, which says what kind of secret that is and whose. The kind determines how the
caller's input becomes the secret; the files are the same for all kinds.
"""

from __future__ import annotations

import os
from enum import Enum

from gateway.base import files, process, toml
from gateway.base.clock import utc
from gateway.base.records import Fd, Record
from gateway.base.sha256 import sha256
from gateway.errors import Busy, DamagedVault
from gateway.identity.names import SlotName
from gateway.vault import damage, gocryptfs_config

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    T = TypeVar("T")

VERSION = 2
_RESTORE = "a sysadmin can restore slots/ from a backup"
_MAX_SLOTS = 256
"""More than anybody has."""
_TRIES = 20


class Kind(Enum):
    """Where the secret comes from: a person chose it, it is derived from an SSH signature, or we made it and printed it
    once, for the owner (recovery) or for somebody who is to get a slot of their own (invitation).
    """

    PASSPHRASE = "passphrase"  # noqa: S105 - a word of the format
    SSH_KEY = "ssh-key"
    RECOVERY = "recovery"
    INVITATION = "invitation"


class Role(Enum):
    """What whoever unlocks with the slot may do."""

    OWNER = "owner"
    WRITER = "writer"
    READER = "reader"


class Slot(Record):
    """`principal` is whose it is, "" for the vault's owner; `created` and `expires` ("": never) are UTC in RFC 3339;
    `fingerprint` is of the key with which the creator had logged in. For an SSH key, `public_key` is its blob (base64),
    `salt` has 32 bytes in hexadecimal, and `realm` is that of the store in which it was made.

    `id` stays the same when the slot is renamed or its secret changes. `binding` binds all fields and the config file
    to the vault. A slot of version 1 has neither id nor principal, and its binding is of the config alone, or "".
    """

    name: SlotName
    kind: Kind
    label: str
    created: str
    fingerprint: str
    salt: str = ""
    binding: str = ""
    id: str = ""
    role: Role = Role.OWNER
    principal: str = ""
    public_key: str = ""
    realm: str = ""
    expires: str = ""
    version: int = VERSION

    def dump(self) -> str:
        fields = {key: value for key, value in self.as_dict().items() if key not in ("name", "kind", "role", "version")}
        return toml.dump({"version": self.version, "kind": self.kind.value, "role": self.role.value, **fields})

    def bound(self, vault_id: str, config: str) -> Slot:
        """The slot with the binding to its config (as `gocryptfs_config.checked` returns it), in version 2."""
        now = self.replace(version=VERSION, binding="")
        return now.replace(binding=now.binding_of(vault_id, config))

    def binding_of(self, vault_id: str, config: str) -> str:
        """What `binding` is when nothing was altered. It is no signature: whoever can write one can write the other."""
        if self.version == 1:
            return gocryptfs_config.binding(vault_id, config)
        said = self.replace(binding="").dump()
        digest: str = sha256(f"{vault_id}\0{said}\0{config}".encode()).hexdigest()
        return digest

    def is_of(self, principal: str, owner: str) -> bool:
        """Whether it is `principal`'s, in a vault of `owner`."""
        return (self.principal or owner) == principal


def config_path(directory: str, name: SlotName) -> str:
    """The gocryptfs config file of slot `name`."""
    return os.path.join(directory, f"{name}.conf")


def description_path(directory: str, name: SlotName) -> str:
    """The file that describes slot `name`."""
    return os.path.join(directory, f"{name}.toml")


def note_use(directory: str, name: SlotName) -> None:
    """Slot `name` was used now: `last_used` tells. Raises OSError."""
    os.utime(description_path(directory, name), follow_symlinks=False)


def last_used(directory: str, slot: Slot) -> str:
    """When what the slot unlocked was last locked, or, if it joined what was unlocked, when that was. In UTC, RFC 3339;
    "" for never, or not known.
    """
    try:
        used = utc(os.lstat(description_path(directory, slot.name)).st_mtime)
    except OSError:
        return ""
    return used if used > slot.created else ""


def load(project: str, directory: str, vault_id: str) -> tuple[Slot, ...]:
    """All slots in the `slots/` of a project's vault, sorted by name.

    Raises DamagedVault if one is not valid or not this vault's, or there is none, and Misconfigured.
    """

    def read() -> tuple[Slot, ...]:
        names = sorted(entry.removesuffix(".toml") for entry in os.listdir(directory) if entry.endswith(".toml"))
        if len(names) > _MAX_SLOTS:
            raise ValueError("too many slots")
        return tuple(_load(directory, SlotName(name), vault_id)[0] for name in names if SlotName.accepts(name))

    slots = _whole(project, directory, read)
    if not slots:
        raise DamagedVault(f"{project} is damaged: it has no unlock slot", _RESTORE)
    return slots


def load_config(project: str, directory: str, name: SlotName, vault_id: str, slot_id: str | None = None) -> str:
    """The config of slot `name`, as it was checked. Raises what `load` raises, and Busy if it has not that id."""
    slot, config = _whole(project, directory, lambda: _load(directory, name, vault_id))
    if slot_id is not None and slot.id != slot_id:
        raise Busy(f"the way to unlock {project} that you used was changed meanwhile", "try again")
    return config


def open_config(project: str, directory: str, name: SlotName, vault_id: str, slot_id: str | None = None) -> Fd:
    """What `load_config` returns, in a memory file that the caller closes. Raises what that raises.

    gocryptfs gets this one: the file could be another by the time that it is opened again.
    """
    return Fd(process.memory_file(load_config(project, directory, name, vault_id, slot_id).encode()))


def _whole(project: str, directory: str, read: Callable[[], T]) -> T:
    """What `read` returns. A change exchanges the directory as a whole: what was read across one is read again."""
    for _ in range(_TRIES):
        before = _identity(directory)
        try:
            return read()
        except (OSError, ValueError, TypeError) as error:
            fault: Exception = error
            if _identity(directory) == before:
                break
    raise damage.error(project, "its unlock slots cannot be read", _RESTORE, fault) from fault


def _identity(directory: str) -> tuple[int, int]:
    """Another after an exchange, also when the number of an inode is used again: rename(2) sets the time of change."""
    try:
        found = os.stat(directory)
    except OSError:
        return 0, 0
    return found.st_ino, found.st_ctime_ns


def _load(directory: str, name: SlotName, vault_id: str) -> tuple[Slot, str]:
    description = files.read(description_path(directory, name), toml.MAX_BYTES).decode()
    values = {key: located.value for key, located in toml.parse(description).items()}
    version = values.pop("version", 1)
    text = {key: value for key, value in values.items() if isinstance(value, str)}
    if text.keys() != values.keys() or type(version) is not int:
        raise TypeError("a slot's fields are strings")
    if version not in (1, VERSION):
        raise ValueError("a slot of a later version")
    kind, role = Kind(text.pop("kind", "")), Role(text.pop("role", Role.OWNER.value))
    slot = Slot(name=name, kind=kind, role=role, version=version, **text)
    if kind is Kind.SSH_KEY and (len(slot.salt) != 64 or not slot.public_key):
        raise ValueError("a slot of an SSH key without salt or key")
    config = gocryptfs_config.checked(files.read(config_path(directory, name), gocryptfs_config.MAX_BYTES))
    if (slot.binding or version != 1) and slot.binding != slot.binding_of(vault_id, config):
        raise ValueError("the slot is another vault's, or was altered")
    return slot, config
