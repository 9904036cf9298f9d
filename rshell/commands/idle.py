"""Show or set the idle limit of one project."""

from __future__ import annotations

from gateway.base import text
from gateway.base.signals import SignalsBlocked
from gateway.errors import NotUnlocked, Usage
from gateway.identity.names import in_vault
from gateway.session import protocol, registry
from gateway.vault import store
from gateway.vault.store import Vault
from rshell.context import Context
from rshell.language.command import Command
from rshell.session import warden_client
from rshell.terminal import output

_MAX_DIGITS = 9


def run(context: Context, command: Command) -> int:
    """Show after how many idle seconds the project is locked, or set it, also for its live view."""
    vault = context.vault(command.project)
    store.check(vault)
    if not command.value:
        seconds = store.idle_limit(vault) or context.config.idle_view
        return _tell(command, vault, seconds, f"{vault.name} is locked after {text.duration(seconds)} without use")
    seconds = _seconds(context, command)
    if not context.session_with(vault.name):
        context.require_here(vault.name)
    with SignalsBlocked():
        store.set_idle_limit(vault, seconds)
        context.audit.write("idle-limit", project=vault.name, seconds=seconds)
    is_live = _apply(context, vault, seconds)
    since = "from now on" if is_live else "from its next mount on"
    return _tell(command, vault, seconds, f"{since}, {vault.name} is locked after {text.duration(seconds)} without use")


def _seconds(context: Context, command: Command) -> int:
    longest = max(context.config.idle_view, context.config.idle_view_longest)
    digits = command.value.isascii() and command.value.isdecimal() and len(command.value) <= _MAX_DIGITS
    if not (digits and 0 < int(command.value) <= longest):
        raise Usage(f"SECONDS is a number from 1 to {longest}", f"usage: `{command.verb.usage}`")
    return int(command.value)


def _apply(context: Context, vault: Vault, seconds: int) -> bool:
    """Tell the session that has the project unlocked; whether one has."""
    try:
        session = registry.with_project(context.all_sessions(), vault.name)
        request = protocol.Limit(
            principal=context.caller.principal, origin=context.origin, project=in_vault(vault.name), seconds=seconds
        )
        warden_client.ask(context, session, request)
    except NotUnlocked:
        return False
    return True


def _tell(command: Command, vault: Vault, seconds: int, words: str) -> int:
    output.result({"project": vault.name, "idle": seconds}, words, command.wants_json)
    return 0
