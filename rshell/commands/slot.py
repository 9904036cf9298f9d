"""Add a way to unlock a project, or remove one."""

from __future__ import annotations

from gateway.base.signals import SignalsBlocked
from gateway.errors import Usage
from gateway.vault import gocryptfs, lease, store
from gateway.vault.slots import change
from gateway.vault.slots.stored import Kind, Slot
from rshell.context import Context
from rshell.language.command import Command
from rshell.session import new_secrets, slot_changes, unlocking
from rshell.terminal import output


def run(context: Context, command: Command) -> int:
    """Ask for a secret that opens the project, then add or remove."""
    slots = check(context, command)
    return _add(context, command, slots) if command.action == "add" else _remove(context, command, slots)


def check(context: Context, command: Command) -> tuple[Slot, ...]:
    """The slots that the caller can unlock with. Raises what can be found before a secret is asked for."""
    kind = _kind(command) if command.action == "add" else None
    gocryptfs.require()
    vault = context.vault(command.project)
    slots = unlocking.mine(context, vault)
    lease.require_writable(vault)
    if kind:
        new_secrets.require_allowed(context, kind)
        new_secrets.require_room(slots, kind)
    else:
        _require_removable(context, command, slots)
    return slots


def _kind(command: Command) -> Kind:
    return new_secrets.kind_of(command.value, "key", "recovery", "passphrase")


def _add(context: Context, command: Command, slots: tuple[Slot, ...]) -> int:
    vault, kind, require_key = context.vault(command.project), _kind(command), context.key_checker()
    opened = unlocking.prove(context, vault, slots, unlocking.ask(vault, slots, require_key, or_code=True), require_key)
    code = b""
    if kind is Kind.SSH_KEY:
        new, secret, _ = new_secrets.key(context, store.identity(vault), slots, require_key)
    elif kind is Kind.RECOVERY:
        new, secret = new_secrets.recovery(context)
        code = secret
    else:
        new = new_secrets.slot(context, Kind.PASSPHRASE, "passphrase")
        secret = new_secrets.passphrase(slot_changes.minimum(context, command.flags), require_key)
    made = slot_changes.add(context, vault, opened, new, secret)
    fields = {"project": vault.name, **new_secrets.fields(made), **({"code": code.decode()} if code else {})}
    words = f"added {made.name} to {vault.name}"
    output.result(fields, f"{words}\n{new_secrets.print_code(code)}" if code else words, command.wants_json)
    return 0


def _require_removable(context: Context, command: Command, slots: tuple[Slot, ...]) -> Slot:
    """The slot to remove. Raises Usage, Denied."""
    found = next((slot for slot in slots if slot.name == command.value), None)
    if found is None:
        hint = f"it has {', '.join(slot.name for slot in slots)}"
        raise Usage(f"{command.project} has no such way to unlock of yours", hint)
    left = tuple(slot for slot in slots if slot.name != found.name)
    if not left:
        raise Usage(f"{found.name} is the last way to unlock {command.project}", "add another one before: `slot add`")
    if context.owner_of(command.project) == context.caller.principal:  # a member can be invited again
        new_secrets.require_way_back(left, context, command.flags)
    return found


def _remove(context: Context, command: Command, slots: tuple[Slot, ...]) -> int:
    """The secret is of one that remains: so there is one that works."""
    vault, require_key = context.vault(command.project), context.key_checker()
    target = _require_removable(context, command, slots)
    left = tuple(slot for slot in slots if slot.name != target.name)
    output.note(f"To remove {target.name}, unlock {vault.name} by another way than it.")
    opened = unlocking.prove(context, vault, left, unlocking.ask(vault, left, require_key, or_code=True), require_key)

    def require(stored_left: tuple[Slot, ...]) -> None:
        owner = context.owner_of(vault.name)
        mine = unlocking.own(vault, stored_left, context.caller.principal, owner)
        if owner == context.caller.principal:
            new_secrets.require_way_back(mine, context, command.flags)

    slot_changes.require_still(context)
    with SignalsBlocked():
        change.remove(vault, target, require)
        fields = new_secrets.fields(target)
        context.audit.write("slot-removed", project=vault.name, with_slot=opened.slot.name, **fields)
        words = (
            f"removed {target.name} from {vault.name}; it still opens copies from before, and who used it may have "
            "kept the project's key"
        )
        output.result({"project": vault.name, "removed": target.name}, words, command.wants_json)
    return 0
