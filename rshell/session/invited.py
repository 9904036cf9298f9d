"""What an owner is told of an invitation, for whom it is, and how those find the project."""

from __future__ import annotations

from gateway.identity.names import Principal, SharedName, in_vault
from gateway.vault.members import repair
from gateway.vault.slots.stored import Role, Slot
from gateway.vault.store import Vault
from rshell.context import Context

_MAY = {Role.WRITER: "read and write", Role.READER: "read"}
_WORDS = """\
{who} can {what} the project once they have accepted. The code, which is shown once and is good once, until {expires}:

    {code}

Give it to {who} alone, over a channel that you trust. They type: accept {name}"""


def words(context: Context, vault: Vault, slot: Slot, code: bytes) -> str:
    """For the owner, who hands on the code."""
    name = SharedName.made_of(context.caller.principal, in_vault(vault.name))
    what = _MAY.get(slot.role, "read")
    return _WORDS.format(who=slot.principal, what=what, expires=slot.expires, code=code.decode(), name=name)


def link(context: Context, vault: Vault, slot: Slot) -> SharedName:
    """Have the person find it, under the name that is returned. Raises Misconfigured, DamagedVault."""
    name = SharedName.made_of(context.caller.principal, in_vault(vault.name))
    repair.agree(context.config.paths_vaults, Principal(slot.principal), name)
    return name
