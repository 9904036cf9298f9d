"""The slots of all vaults, for a sysadmin: who can still unlock what."""

from __future__ import annotations

import os

from gateway.base.records import Record
from gateway.errors import EncError
from gateway.identity.names import Principal, ProjectName
from gateway.vault import store
from gateway.vault.slots.stored import Kind, Slot
from gateway.vault.store import Vault

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


class Found(Record):
    """A sound vault, its owner and its slots."""

    owner: Principal
    project: ProjectName
    slots: tuple[Slot, ...]

    @property
    def name(self) -> str:
        return f"{self.owner}/{self.project}"


def vaults(root: str) -> Iterator[Found]:
    """Every vault below `root` whose slots can be read; `enc-gateway vaults` names the others. Raises OSError."""
    for owner, home in store.homes(root):
        try:
            names = store.names(home)
        except OSError:
            continue
        for name in names:
            try:
                slots = store.check(Vault(name=name, path=os.path.join(home, name)))
            except EncError:
                continue
            yield Found(owner=owner, project=name, slots=slots)


def with_key(root: str, public_key: str) -> list[tuple[Found, Slot]]:
    """The slots that this key (its blob, base64) opens."""
    return [(found, slot) for found in vaults(root) for slot in found.slots if slot.public_key == public_key]


def of_member(root: str, principal: Principal) -> list[str]:
    """The names of the vaults of others in which `principal` has a slot."""
    return [
        found.name
        for found in vaults(root)
        if found.owner != principal and any(slot.principal == principal for slot in found.slots)
    ]


def stranded(root: str, keys: dict[str, set[str]]) -> list[str]:
    """The vaults that nobody who can log in opens. `keys` are the blobs of the keys of each principal.

    Whoever can log in is taken to know their passphrase and to have their code; an SSH key that is not authorized any
    more is taken to be gone. An invitation opens nothing by itself, and somebody who has one may never accept it.
    """

    def works(slot: Slot, owner: Principal) -> bool:
        theirs = keys.get(slot.principal or owner, set())
        if slot.kind is Kind.INVITATION:
            return False
        return bool(theirs) and (slot.kind is not Kind.SSH_KEY or slot.public_key in theirs)

    return [found.name for found in vaults(root) if not any(works(slot, found.owner) for slot in found.slots)]
