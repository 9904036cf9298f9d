"""List the ways to unlock a project."""

from __future__ import annotations

from gateway.base import text
from gateway.identity.authorized_keys import fingerprint
from gateway.vault import store
from gateway.vault.slots import stored
from gateway.vault.slots.stored import Slot
from rshell.context import Context
from rshell.language.command import Command
from rshell.session import unlocking
from rshell.terminal import output

_HEADER = ("SLOT", "KIND", "WHOSE", "CREATED", "LAST USED", "KEY")


def run(context: Context, command: Command) -> int:
    """Print each slot: its kind, whose it is, since when, when it was last used, and for a key which. A member sees
    their own.
    """
    vault = context.vault(command.project)
    is_owner = context.owner_of(vault.name) == context.caller.principal
    found = store.check(vault) if is_owner else unlocking.mine(context, vault)
    listed = [_fields(context, vault.slots, slot) for slot in found]
    rows = [
        (*(str(each[name]) for name in ("slot", "kind", "principal", "created", "last_used")), _key(each))
        for each in listed
    ]
    words = text.columns([_HEADER, *(tuple(word or "-" for word in row) for row in rows)])
    output.result({"project": vault.name, "slots": listed}, words.rstrip("\n"), command.wants_json)
    return 0


def _fields(context: Context, directory: str, slot: Slot) -> dict[str, object]:
    return {
        "slot": slot.name,
        "kind": slot.kind.value,
        "role": slot.role.value,
        "principal": slot.principal or context.caller.principal,
        "label": slot.label,
        "created": slot.created,
        "created_by": slot.fingerprint,
        "last_used": stored.last_used(directory, slot),
        "key": fingerprint(slot.public_key) if slot.public_key else "",
    }


def _key(fields: dict[str, object]) -> str:
    return " ".join(filter(None, (str(fields["key"]), str(fields["label"]) if fields["key"] else "")))
