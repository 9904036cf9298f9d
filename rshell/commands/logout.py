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
    for session in chosen:
        warden_client.close(context, session)
    closed = [session.id for session in chosen]
    words = f"closed {', '.join(closed)}" if closed else "no sessions; nothing was unlocked"
    output.result({"closed": closed}, words, command.wants_json)
    return 0
