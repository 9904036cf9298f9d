"""Change the passphrase of a project."""

from __future__ import annotations

from gateway.errors import Usage
from gateway.vault import gocryptfs, lease
from gateway.vault.slots.stored import Kind, Slot
from rshell.context import Context
from rshell.language.command import Command
from rshell.session import new_secrets, slot_changes, unlocking
from rshell.terminal import output


def run(context: Context, command: Command) -> int:
    """Ask for the passphrase (or take a signature), and for the new one; the old one opens nothing afterwards.

    The project may be unlocked: a live view goes on.
    """
    slots = check(context, command)
    vault = context.vault(command.project)
    require_key = context.key_checker()
    opened = unlocking.prove(context, vault, slots, unlocking.ask(vault, slots, require_key, or_code=True), require_key)
    secret = new_secrets.passphrase(slot_changes.minimum(context, command.flags), require_key)
    if secret == opened.secret:
        raise Usage("the new passphrase is the old one", "nothing was changed")
    slot_changes.set_passphrase(context, vault, slots, opened, secret)
    words = f"the passphrase of {vault.name} is changed; copies from before, as in backups, still open with the old one"
    output.result({"project": vault.name, "changed": True}, words, command.wants_json)
    return 0


def check(context: Context, command: Command) -> tuple[Slot, ...]:
    """The slots that the caller can unlock with. Raises what can be found before a secret is asked for."""
    gocryptfs.require()
    vault = context.vault(command.project)
    slots = unlocking.mine(context, vault)
    lease.require_writable(vault)
    if not unlocking.of_kind(slots, Kind.PASSPHRASE):
        new_secrets.require_allowed(context, Kind.PASSPHRASE)
    return slots
