"""Change slots for a caller who has proven a secret: recorded, and not half done by a signal."""

from __future__ import annotations

from gateway.base.clock import utc_now
from gateway.base.signals import SignalsBlocked
from gateway.session import maintenance
from gateway.vault.slots import change
from gateway.vault.slots.change import Opened
from gateway.vault.slots.stored import Kind, Slot
from gateway.vault.store import Vault
from rshell.context import Context
from rshell.session import new_secrets, unlocking


def minimum(context: Context, flags: frozenset[str]) -> int:
    """Characters of a new passphrase."""
    return 1 if "--allow-weak" in flags else context.config.passphrase_minimum


def require_still(context: Context) -> None:
    """Raise if the key was revoked, or the gateway paused, during the questions."""
    context.require_key()
    maintenance.require_running(context.config.paths_pause)


def add(context: Context, vault: Vault, opened: Opened, new: Slot, secret: bytes) -> Slot:
    """Add a slot. Raises what `change.add` raises."""
    require_still(context)
    with SignalsBlocked():
        made = change.add(vault, opened, new, secret)
        context.audit.write("slot-added", project=vault.name, with_slot=opened.slot.name, **new_secrets.fields(made))
    return made


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
        made = change.replace(vault, opened, target.name, secret, utc_now(), context.caller.fingerprint)
        context.audit.write("slot-changed", project=vault.name, with_slot=opened.slot.name, **new_secrets.fields(made))
    return made
