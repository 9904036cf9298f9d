"""Give up a project that somebody shares."""

from __future__ import annotations

from gateway.errors import Usage
from gateway.identity.names import SharedName
from gateway.vault import store
from rshell.context import Context, required
from rshell.language.command import Command
from rshell.session import leaving
from rshell.terminal import output


def run(context: Context, command: Command) -> int:
    """Remove the caller's ways to unlock it, and end what the caller holds. An invitation is turned down."""
    name = check(context, command)
    leaving.remove(context, context.vault(name), context.caller.principal, "gave-up")
    words = f"you have left {name}; {name.owner} can invite you again"
    output.result({"project": name, "left": True}, words, command.wants_json)
    return 0


def check(context: Context, command: Command) -> SharedName:
    """Raises NoSuchProject, and Usage for a project of one's own."""
    name = required(command.project)
    if not isinstance(name, SharedName):
        raise Usage(f"{name} is yours", f"`rm {name}` removes it, `share {name}` lists its members")
    vault = context.vault(name)
    if not any(slot.is_of(context.caller.principal, name.owner) for slot in store.check(vault)):
        raise store.no_such_project(name)
    return name
