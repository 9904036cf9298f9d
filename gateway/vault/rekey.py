"""Rekeying on the disk: a vault is replaced by a copy with another master key, in one step.

The copy is built as a draft beside the vault, under a name that is no project's. What there is, tells how far it came:

    .rekey-P is missing                          nothing has begun, or all is done
    .rekey-P names P's id in `rekeys`            a draft, which may have any part of P
    .rekey-P names P's id in `replaced`          a complete draft; not exchanged yet
    P names the id of .rekey-P in `replaced`     exchanged; .rekey-P is the old vault, to be moved to the trash

So a crash at any point leaves the old vault or the new one under the name of the project, and the next call, or a
sweep, knows what to do. A draft has its first slot from the start: so that whoever continues it can open it.
"""

from __future__ import annotations

import os
from enum import Enum

from gateway.base import files, syscalls, toml
from gateway.base.tree import walk
from gateway.errors import Busy, CannotCreate, EncError
from gateway.identity.names import ProjectName
from gateway.vault import lease, lifecycle, store
from gateway.vault.lease import LeaseHolder
from gateway.vault.slots import change
from gateway.vault.slots.change import Opened
from gateway.vault.slots.stored import Kind, Slot
from gateway.vault.store import Vault

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PREFIX = ".rekey-"
GIVEN_UP_DAYS = 7
"""After which a draft that nobody continued is garbage."""
_DRAFT_OF, _REPLACED = "rekeys", "replaced"


class State(Enum):
    """What is beside a vault: nothing, a draft of it, the vault that it has replaced, or what belongs to no vault here:
    a draft (STALE), or what may be a vault that somebody wants back (UNKNOWN).
    """

    NOTHING = "nothing"
    DRAFT = "draft"
    EXCHANGED = "exchanged"
    STALE = "stale"
    UNKNOWN = "unknown"


def beside(vault: Vault) -> Vault:
    """The place of the draft of `vault`, which need not exist."""
    return Vault(name=vault.name, path=os.path.join(os.path.dirname(vault.path), PREFIX + vault.name))


def state(vault: Vault) -> State:
    """Raises DamagedVault, Misconfigured if vault.toml of `vault` cannot be read."""
    other = beside(vault)
    if not os.path.lexists(other.path):
        return State.NOTHING
    about = store.read_metadata(vault) if os.path.lexists(vault.path) else {}
    try:
        found = store.read_metadata(other)
    except EncError:
        return State.UNKNOWN
    if about and about["id"] in (found.get(_DRAFT_OF), found.get(_REPLACED)):
        return State.DRAFT
    if _DRAFT_OF in found:
        return State.STALE
    return State.EXCHANGED if about and found["id"] == about.get(_REPLACED) else State.UNKNOWN


def begin(vault: Vault, fingerprint: str, secret_fd: int, first: Slot, vault_id: str, passphrase_cost: int) -> None:
    """Make an empty draft of `vault` with the slot `first`, for the secret that is the first line of `secret_fd`; its
    cost is as in `lifecycle.create`.

    Raises CannotCreate.
    """
    about = {"id": vault_id, _DRAFT_OF: store.identity(vault)}
    lifecycle.build(beside(vault), fingerprint, secret_fd, first, about, None, passphrase_cost)


def note_use(draft: Vault) -> None:
    """Somebody continues the draft: it is not given up. Raises OSError."""
    os.utime(draft.metadata)


def discard(other: Vault, holder: LeaseHolder) -> None:
    """Remove a draft. Raises Busy if somebody is at it, CannotCreate."""
    held = lease.acquire(other, holder)
    try:
        gone = files.staged_name(other.path)
        os.rename(other.path, gone)  # so that nobody continues half of it
        error = walk.remove(gone)
    except OSError as trouble:
        error = trouble
    finally:
        lease.release(held)
    if error:
        raise CannotCreate(f"what an earlier rekey of {other.name} left cannot be removed", error.strerror)


def set_slots(draft: Vault, opened: Opened, wanted: Iterable[tuple[Slot, bytes]]) -> tuple[Slot, ...]:
    """Give the draft the slot that was `opened`, the `wanted` ones with their secrets, and no other. Returns the latter
    as they were stored. Raises EncError.
    """
    for slot in store.check(draft):
        if slot != opened.slot:  # made by an attempt that did not come to the exchange: its codes may have been seen
            change.remove(draft, slot, lambda _: None)
    made = []
    for slot, secret in wanted:
        added = change.add(draft, opened, slot, secret)
        made.append(added)
        if opened.slot.kind is Kind.PASSPHRASE:
            opened = Opened(slot=added, secret=secret)  # which costs no scrypt worth the name
    return tuple(made)


def to_trash(other: Vault, holder: LeaseHolder) -> None:
    """Move what may be a vault that somebody wants to the trash. Raises Busy, CannotCreate."""
    held = lease.acquire(other, holder)
    try:
        lifecycle.into_trash(os.path.dirname(other.path), other)
    except OSError as error:
        raise CannotCreate(f"what lies beside {other.name} cannot be moved to the trash", error.strerror) from error
    finally:
        lease.release(held)


def exchange(vault: Vault) -> None:
    """Give the complete draft the place of `vault`, and `vault` that of the draft, in one step.

    The draft is on the disk before. The caller has both leases. Raises OSError.
    """
    draft = beside(vault)
    old = store.read_metadata(vault)
    values = {**old, "id": store.identity(draft), _REPLACED: old["id"]}
    files.replace(draft.metadata, toml.dump(values))
    fd = files.open_directory(draft.path)
    try:
        syscalls.syncfs(fd)
    finally:
        os.close(fd)
    syscalls.exchange(draft.path, vault.path)
    files.sync(os.path.dirname(vault.path))


def clear(home: str) -> Iterator[tuple[str, bool, str]]:
    """Clear what interrupted rekeyings have left in a principal's directory and nobody will continue: each path,
    whether it was removed (else: moved to the trash), and why neither was possible ("": one was).
    """
    for entry in os.listdir(home):
        name = entry.removeprefix(PREFIX)
        if entry == name or not ProjectName.accepts(name) or os.path.islink(os.path.join(home, entry)):
            continue
        other = Vault(name=ProjectName(name), path=os.path.join(home, entry))
        try:
            found = state(Vault(name=other.name, path=os.path.join(home, name)))
            days = GIVEN_UP_DAYS if found is State.DRAFT else 0
            if not files.is_older(other.path, files.ABANDONED_AFTER) or not files.is_older(
                other.metadata if days else other.path, days * 86400
            ):
                continue
            removes = found in (State.DRAFT, State.STALE)
            holder = LeaseHolder(session="sweep", since="", address="")
            (discard if removes else to_trash)(other, holder)
            yield other.path, removes, ""
        except Busy:
            continue
        except EncError as error:
            yield other.path, False, error.line()
        except OSError as error:
            yield other.path, False, error.strerror or ""
