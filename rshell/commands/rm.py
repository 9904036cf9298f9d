"""Removing a project."""

from __future__ import annotations

from gateway import vaults
from gateway.errors import Usage
from gateway.interruption import Undisturbed
from rshell import terminal
from rshell.command import Command
from rshell.context import Context


def run(context: Context, command: Command) -> int:
    """Have the name confirmed and move the vault to the trash. Refused while it is unlocked."""
    from gateway import vaultmaking

    vault = context.vault(command.project)
    holder = vaults.Holder(session="rm", since=vaults.now(), address=context.caller.address)
    vaults.release(vaults.hold(vault, holder))
    if "--yes" not in command.flags and terminal.line(f"Type {vault.name} again to remove it: ") != vault.name:
        raise Usage("that is not its name", "nothing was removed")
    with Undisturbed():
        vaultmaking.remove(context.vaults_home, vault, holder)
        context.audit.write("removed", project=vault.name)
        words = f"removed {vault.name}; a sysadmin can still bring it back from the trash"
        terminal.result({"project": vault.name, "removed": True}, words, command.wants_json)
    return 0
