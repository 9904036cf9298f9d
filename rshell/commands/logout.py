"""Ending sessions."""

from __future__ import annotations

from gateway import sessions
from rshell import link, terminal
from rshell.command import Command
from rshell.context import Context


def run(context: Context, command: Command) -> int:
    """Lock everything in the caller's session, or with --all in all of the principal's, and end it."""
    live = context.live()
    chosen = live if "--all" in command.flags else (sessions.find(live, context.caller.connection),)
    for session in chosen:
        link.close(context, session)
    closed = [session.id for session in chosen]
    words = f"closed {', '.join(closed)}" if closed else "no sessions; nothing was unlocked"
    terminal.result({"closed": closed}, words, command.wants_json)
    return 0
