"""Set the idle limit of one project."""

from __future__ import annotations

from gateway.base.signals import SignalsBlocked
from gateway.errors import Usage
from gateway.vault import store
from rshell.context import Context
from rshell.language.command import Command
from rshell.terminal import output

_MAX_DIGITS = 9


def run(context: Context, command: Command) -> int:
    """Set after how many idle seconds the project is locked. The limit applies from the next `mount` on."""
    vault = context.vault(command.project)
    store.check(vault)
    settings = context.config
    longest = max(settings.idle_view, settings.idle_view_longest)
    digits = command.value.isascii() and command.value.isdecimal() and len(command.value) <= _MAX_DIGITS
    if not (digits and 0 < int(command.value) <= longest):
        raise Usage(f"SECONDS is a number from 1 to {longest}", f"usage: {command.verb.usage}")
    with SignalsBlocked():
        store.set_idle_limit(vault, int(command.value))
        context.audit.write("idle-limit", project=vault.name, seconds=int(command.value))
    fields = {"project": vault.name, "idle": int(command.value)}
    output.result(
        fields, f"from the next mount on, {vault.name} is locked after {command.value} idle seconds", command.wants_json
    )
    return 0
