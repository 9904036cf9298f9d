"""Remove a project."""

from __future__ import annotations

from gateway.base.signals import SignalsBlocked
from gateway.errors import Usage
from gateway.vault import lease
from rshell.context import Context
from rshell.language.command import Command
from rshell.terminal import output, questions


def run(context: Context, command: Command) -> int:
    """Ask for the name again and move the vault to the trash. Raises Busy while the project is unlocked."""
    from gateway.vault import lifecycle

    vault = context.vault(command.project)
    context.require_here(vault.name)
    holder = context.lease_holder("rm")
    lease.release(lease.acquire(vault, holder))
    if "--yes" not in command.flags:
        if questions.line(f"Type {vault.name} again to remove it: ", context.key_checker()) != vault.name:
            raise Usage("that is not the project's name", "nothing was removed")
        context.require_key()
    with SignalsBlocked():
        lifecycle.remove(context.vaults_home, vault, holder)
        context.audit.write("removed", project=vault.name)
        words = f"removed {vault.name}; `trash restore {vault.name}` brings it back"
        output.result({"project": vault.name, "removed": True}, words, command.wants_json)
    return 0
