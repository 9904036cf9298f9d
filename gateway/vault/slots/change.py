"""Change the slots of a vault: all or nothing, one change at a time, also while the project is unlocked.

A change is made in a draft of the whole `slots/`, which is synced and then exchanged with it in one step
(renameat2(2)). So there are the old slots or the new ones, whatever crashes. The vault's lease has nothing to do with
it: gocryptfs reads its config once.
"""

from __future__ import annotations

import os

from gateway.base import files, locks, syscalls
from gateway.base.records import Record
from gateway.base.tree import walk
from gateway.errors import Busy, CannotCreate, Usage, WrongSecret
from gateway.identity.names import SlotName
from gateway.vault import damage, gocryptfs, store
from gateway.vault.slots import stored
from gateway.vault.slots.stored import Kind, Role, Slot
from gateway.vault.store import Vault

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

DRAFT = f"{files.STAGED}slots-"
"""How the name of a draft begins."""
_BUSY_SECONDS = 10.0
"""A change takes some 0.3 s."""
_WORDS = {Kind.PASSPHRASE: "passphrase", Kind.SSH_KEY: "key", Kind.RECOVERY: "recovery", Kind.INVITATION: "invitation"}
"""What the slots of each kind are named after."""


class Opened(Record):
    """A slot, and the secret that opens it."""

    slot: Slot
    secret: bytes


def _none(_: Slot) -> bool:
    return False


def add(
    vault: Vault,
    opened: Opened,
    new: Slot,
    secret: bytes,
    instead_of: Callable[[Slot], bool] = _none,
    passphrase_cost: int = gocryptfs.PASSPHRASE_LOG_N,
) -> Slot:
    """Add `new`, which `secret` opens, with the master key that `opened` wraps. Its name gets a number if it is taken.
    The slots that `instead_of` accepts go with the same step. If it is a passphrase, a try of it costs
    2^`passphrase_cost` KiB.

    Returns the slot as it was stored. Raises WrongSecret, Busy, DamagedVault, CannotCreate.
    """
    made: list[Slot] = []

    def work(draft: _Draft, slots: tuple[Slot, ...]) -> None:
        taken = {slot.name for slot in slots}
        named = new.replace(name=_free_name(new.name, taken))
        made.append(_write(draft, _still_there(slots, opened.slot), opened.secret, named, secret, passphrase_cost))
        _unlink(draft, filter(instead_of, slots))

    _change(vault, work)
    return made[0]


def remove_of(vault: Vault, principal: str) -> tuple[Slot, ...]:
    """Remove all slots of a member, `principal`; which these were. Raises as `add`."""
    gone: list[Slot] = []

    def work(draft: _Draft, slots: tuple[Slot, ...]) -> None:
        gone.extend(slot for slot in slots if slot.principal == principal)
        if not gone:
            raise Usage(f"{principal} is no member of {vault.name}", f"`share {vault.name}` lists them")
        _unlink(draft, gone)

    _change(vault, work)
    return tuple(gone)


def _unlink(draft: _Draft, slots: Iterable[Slot]) -> None:
    for slot in slots:
        for path in (stored.config_path(draft.slots, slot.name), stored.description_path(draft.slots, slot.name)):
            os.unlink(path)


def replace(
    vault: Vault,
    opened: Opened,
    target: Slot,
    secret: bytes,
    created: str,
    fingerprint: str,
    passphrase_cost: int = gocryptfs.PASSPHRASE_LOG_N,
) -> Slot:
    """Give slot `target` a new secret, which costs as with `add`. The old one opens nothing afterwards.

    Returns and raises as `add`.
    """
    made: list[Slot] = []

    def work(draft: _Draft, slots: tuple[Slot, ...]) -> None:
        old = _found(vault, slots, target)
        changed = old.replace(created=created, fingerprint=fingerprint, id=old.id or os.urandom(8).hex())
        old_slot = _still_there(slots, opened.slot)
        made.append(_write(draft, old_slot, opened.secret, changed, secret, passphrase_cost))

    _change(vault, work)
    return made[0]


def remove(vault: Vault, target: Slot, require: Callable[[tuple[Slot, ...]], None]) -> None:
    """Remove slot `target`. `require` is called with the slots that remain; what it raises ends the change."""

    def work(draft: _Draft, slots: tuple[Slot, ...]) -> None:
        gone = _found(vault, slots, target)
        left = tuple(slot for slot in slots if slot is not gone)
        if not any(slot.role is Role.OWNER and slot.kind is not Kind.INVITATION for slot in left):
            raise Usage(f"{gone.name} is the last way to unlock {vault.name}", "add another one before: `slot add`")
        require(left)
        _unlink(draft, (gone,))

    _change(vault, work)


def _found(vault: Vault, slots: tuple[Slot, ...], target: Slot) -> Slot:
    """The slot as it is now. One that only has its name may be somebody else's: a name that is free is given again."""
    for slot in slots:
        if (slot.name, slot.id, slot.principal) == (target.name, target.id, target.principal):
            return slot
    raise Usage(f"{vault.name} has no such way to unlock", f"`slots {vault.name}` lists them")


def first_name(kind: Kind) -> SlotName:
    return SlotName(_WORDS[kind])


def _free_name(wanted: SlotName, taken: set[SlotName]) -> SlotName:
    number, name = 1, wanted
    while name in taken:
        number += 1
        name = SlotName(f"{wanted}-{number}")
    return name


def _still_there(slots: tuple[Slot, ...], opened: Slot) -> Slot:
    """The slot that was opened, unless it was changed since."""
    if opened not in slots:
        raise WrongSecret("the way to unlock that you used was changed meanwhile", "nothing was changed; try again")
    return opened


def _write(draft: _Draft, source: Slot, secret: bytes, new: Slot, new_secret: bytes, passphrase_cost: int) -> Slot:
    """Write slot `new` into the draft, with the master key of `source`."""
    path = stored.config_path(draft.slots, new.name)
    vault_id = store.identity(draft)
    config = stored.load_config(draft.name, draft.slots, source.name, vault_id)
    files.replace(path, config, durable=False)
    reader, writer = os.pipe2(os.O_CLOEXEC)
    try:
        os.write(writer, secret + b"\n" + new_secret + b"\n")
        os.close(writer)
        log_n = passphrase_cost if new.kind is Kind.PASSPHRASE else gocryptfs.STRONG_LOG_N
        gocryptfs.change_secret(draft.cipher, path, draft.fd, reader, log_n)
    finally:
        os.close(reader)
    return describe(draft, new)


def describe(vault: Vault, slot: Slot) -> Slot:
    """Write the description of a slot whose config is there, bound to it and the vault. Raises ValueError, OSError."""
    from gateway.vault import gocryptfs_config

    path = stored.config_path(vault.slots, slot.name)
    config = gocryptfs_config.checked(files.read(path, gocryptfs_config.MAX_BYTES))
    bound = slot.bound(store.identity(vault), config)
    described = stored.description_path(vault.slots, slot.name)
    files.replace(described, bound.dump(), durable=False)
    os.utime(described, (0, 0))  # never used: `stored.last_used`
    return bound


def lock(vault: Vault) -> int:
    """Keep others from changing the slots until the descriptor, of the vault's directory, is closed.

    Raises NoSuchProject, DamagedVault, Misconfigured, Busy.
    """
    try:
        fd = files.open_directory(vault.path)
    except FileNotFoundError as error:
        raise store.no_such_project(vault.name) from error
    except OSError as error:
        raise damage.error(vault.name, "it is no directory", "a sysadmin can restore it", error) from error
    if not locks.acquire_within(fd, _BUSY_SECONDS):
        os.close(fd)
        raise Busy(f"the ways to unlock {vault.name} are being changed by somebody else", "try again")
    return fd


def _change(vault: Vault, work: Callable[[_Draft, tuple[Slot, ...]], None]) -> None:
    """Have `work` change a draft of the slots, and exchange it for them."""
    fd = lock(vault)
    try:
        if not os.path.samestat(os.fstat(fd), os.stat(vault.path)):
            raise Busy(f"{vault.name} was replaced meanwhile", "nothing was changed; try again")
        _exchange(Vault(name=vault.name, path=f"/proc/self/fd/{fd}"), fd, work)
    except ValueError as error:
        raise CannotCreate("gocryptfs made a config that is unknown here", "nothing was changed") from error
    except OSError as error:
        raise CannotCreate(
            f"the gateway's disk does not let it be changed: {error.strerror}", "tell your sysadmin"
        ) from (error)
    finally:
        os.close(fd)


def _exchange(held: Vault, fd: int, work: Callable[[_Draft, tuple[Slot, ...]], None]) -> None:
    """`held` is the vault by its open directory: another vault may have its name by now."""
    slots = stored.load(held.name, held.slots, store.identity(held))
    for name in os.listdir(held.path):
        if name.startswith(DRAFT):  # left by a crash: who has it could open it with a secret of before
            walk.remove(os.path.join(held.path, name))
    draft = files.staged_name(held.slots)
    os.mkdir(draft, 0o700)
    try:
        for slot in slots:
            _copy(held.slots, draft, slot.name)
        drafted = _Draft(name=held.name, path=held.path, draft=draft, fd=fd)
        work(drafted, slots)
        stored.load(held.name, draft, store.identity(held))
        for name in (*os.listdir(draft), "."):
            files.sync(os.path.join(draft, name))
        syscalls.exchange(draft, held.slots)
        files.sync(os.path.join(held.path, "."))
    finally:
        walk.remove(draft)


class _Draft(Vault):
    """A vault by its open directory `fd`, with a draft in the place of its slots."""

    draft: str
    fd: int

    @property
    def slots(self) -> str:
        return self.draft


def _copy(source: str, target: str, name: SlotName) -> None:
    """Copy a slot's files, with their times: that of the description is when it was last used."""
    for path in (stored.config_path, stored.description_path):
        content = files.read(path(source, name), 1 << 16)
        about = os.stat(path(source, name))
        files.replace(path(target, name), content, durable=False)
        os.utime(path(target, name), ns=(about.st_atime_ns, about.st_mtime_ns))
