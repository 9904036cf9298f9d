"""The idle limit of one project."""

from __future__ import annotations

from gateway.base.signals import SignalsBlocked
from gateway.errors import Usage
from gateway.vault import store
from rshell.context import Context
from rshell.language.command import Command
from rshell.terminal import output

_DIGITS = 9


def run(context: Context, command: Command) -> int:
    """Set after how many seconds without use the project is locked; it counts from the next `mount` on."""
    vault = context.vault(command.project)
    store.check(vault)
    settings = context.config
    longest = max(settings.idle_view, settings.idle_view_longest)
    digits = command.value.isascii() and command.value.isdecimal() and len(command.value) <= _DIGITS
    if not (digits and 0 < int(command.value) <= longest):
        raise Usage(f"the limit is a number of seconds from 1 to {longest}")
    with SignalsBlocked():
        store.set_idle_limit(vault, int(command.value))
        context.audit.write("idle-limit", project=vault.name, seconds=int(command.value))
    fields = {"project": vault.name, "idle": int(command.value)}
    output.result(fields, f"{vault.name} locks after {command.value} s without use", command.wants_json)
    return 0
