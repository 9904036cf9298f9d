"""End sessions."""

from __future__ import annotations

from gateway.session import registry
from rshell.context import Context
from rshell.language.command import Command
from rshell.session import warden_client
from rshell.terminal import output


def run(context: Context, command: Command) -> int:
    """End the caller's session, or with --all every session of the principal. Returns when all of it is locked."""
    live = context.sessions()
    chosen = live if "--all" in command.flags else (registry.find(live, context.caller.connection),)
    closed, failed = warden_client.close(context, chosen)
    words = f"closed {', '.join(closed)}" if closed else "" if failed else "no sessions; nothing was unlocked"
    if failed is None or not command.wants_json:
        output.result({"closed": closed}, words, command.wants_json)
    if failed:
        raise failed
    return 0
