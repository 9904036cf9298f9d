"""Change slots for a caller who has proven a secret: recorded, and not half done by a signal."""

from __future__ import annotations

from gateway.base.clock import utc_now
from gateway.base.signals import SignalsBlocked
from gateway.vault.slots import change
from gateway.vault.slots.change import Opened
from gateway.vault.slots.stored import Kind, Slot
from gateway.vault.store import Vault
from rshell.context import Context
from rshell.session import new_secrets, unlocking

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def minimum(context: Context, flags: frozenset[str]) -> int:
    """Characters of a new passphrase."""
    return 1 if "--allow-weak" in flags else context.config.passphrase_minimum


def require_still(context: Context) -> None:
    """Raise if the key was revoked, or the gateway paused, during the questions."""
    context.require_key()
    context.require_running()


def add(context: Context, vault: Vault, opened: Opened, new: Slot, secret: bytes) -> Slot:
    """Add a slot. Raises what `change.add` raises."""
    require_still(context)
    with SignalsBlocked():
        theirs = _theirs(context, vault, opened, new)
        made = change.add(vault, opened, theirs, secret, passphrase_cost=context.config.passphrase_cost)
        context.audit.write("slot-added", project=vault.name, with_slot=opened.slot.name, **new_secrets.fields(made))
    return made


def share(
    context: Context,
    vault: Vault,
    opened: Opened,
    new: Slot,
    code: bytes,
    instead_of: Callable[[Slot], bool],
    fields: dict[str, object],
) -> None:
    """Add an invitation, instead of those that `instead_of` accepts. Raises what `change.add` raises."""
    require_still(context)
    with SignalsBlocked():
        change.add(vault, opened, new, code, instead_of)
        owner = context.owner_of(vault.name)
        context.audit.write("shared", project=vault.name, owner=owner, with_slot=opened.slot.name, **fields)


def accept(context: Context, vault: Vault, opened: Opened, new: Slot, secret: bytes) -> Slot:
    """Add a member's first slot instead of their invitations, one of which was opened. Raises what `change.add`
    raises.
    """
    require_still(context)
    invited = opened.slot.principal

    def is_used(slot: Slot) -> bool:
        return slot.kind is Kind.INVITATION and slot.principal == invited

    with SignalsBlocked():
        theirs = _theirs(context, vault, opened, new)
        made = change.add(vault, opened, theirs, secret, is_used, context.config.passphrase_cost)
        about = {"owner": context.owner_of(vault.name), "member": made.principal, "role": made.role.value}
        context.audit.write("accepted", project=vault.name, **about, **new_secrets.fields(made))
    return made


def _theirs(context: Context, vault: Vault, opened: Opened, new: Slot) -> Slot:
    """The slot as the caller's: in somebody else's vault it says whose it is, and has the role of the opened one."""
    if context.owner_of(vault.name) == context.caller.principal:
        return new
    return new.replace(principal=context.caller.principal, role=opened.slot.role)


def set_passphrase(context: Context, vault: Vault, slots: tuple[Slot, ...], opened: Opened, secret: bytes) -> Slot:
    """Give the caller's passphrase slot the new passphrase: the one that was opened, else the first; one is added if
    there is none. Raises what `change.replace` raises.
    """
    phrases = unlocking.of_kind(slots, Kind.PASSPHRASE)
    if not phrases:
        return add(context, vault, opened, new_secrets.slot(context, Kind.PASSPHRASE, "passphrase"), secret)
    target = opened.slot if opened.slot in phrases else phrases[0]
    require_still(context)
    with SignalsBlocked():
        cost, now = context.config.passphrase_cost, utc_now()
        made = change.replace(vault, opened, target, secret, now, context.caller.fingerprint, cost)
        context.audit.write("slot-changed", project=vault.name, with_slot=opened.slot.name, **new_secrets.fields(made))
    return made
