"""Get back into a project with a recovery code: set a new passphrase, or add a key."""

from __future__ import annotations

from gateway.errors import Usage
from gateway.vault import gocryptfs, lease, store
from gateway.vault.slots import recovery_code
from gateway.vault.slots.stored import Kind, Slot
from rshell.context import Context
from rshell.language.command import Command
from rshell.session import new_secrets, slot_changes, unlocking
from rshell.terminal import output, questions


def run(context: Context, command: Command) -> int:
    """Ask for the code, then for the new passphrase, or take two signatures. The code stays valid."""
    slots = check(context, command)
    vault, require_key = context.vault(command.project), context.key_checker()
    typed = questions.secret(f"Recovery code of {vault.name}: ", require_key)
    code = recovery_code.canonical(typed).encode()
    opened = unlocking.prove(context, vault, unlocking.of_kind(slots, Kind.RECOVERY), code, require_key)
    if _kind(command) is Kind.SSH_KEY:
        new, secret, _ = new_secrets.key(context, store.identity(vault), slots, require_key)
        made = slot_changes.add(context, vault, opened, new, secret)
        words = f"added {made.name} to {vault.name}"
    else:
        secret = new_secrets.passphrase(slot_changes.minimum(context, command.flags), require_key)
        made = slot_changes.set_passphrase(context, vault, slots, opened, secret)
        words = f"{vault.name} has a new passphrase"
    kept = f"{words}. The recovery code stays valid; `slot rm {vault.name} {opened.slot.name}` removes it."
    output.result({"project": vault.name, **new_secrets.fields(made)}, kept, command.wants_json)
    return 0


def check(context: Context, command: Command) -> tuple[Slot, ...]:
    """The caller's slots. Raises what can be found before the code is asked for."""
    kind = _kind(command)
    gocryptfs.require()
    vault = context.vault(command.project)
    slots = unlocking.mine(context, vault)
    if not unlocking.of_kind(slots, Kind.RECOVERY):
        raise Usage(f"{vault.name} has no recovery code", f"`slots {vault.name}` lists the ways to unlock it")
    lease.require_writable(vault)
    if kind is Kind.SSH_KEY or not unlocking.of_kind(slots, kind):
        new_secrets.require_allowed(context, kind)
        new_secrets.require_room(slots, kind)
    return slots


def _kind(command: Command) -> Kind:
    return new_secrets.kind_of(command.value or "passphrase", "passphrase", "key")
