"""Ending a session."""

from __future__ import annotations

from gateway import protocol, sessions
from rshell import link, terminal
from rshell.command import Command
from rshell.context import Context


def run(context: Context, command: Command) -> int:
    """Lock everything in the caller's session and end it; returns when that is done."""
    session = sessions.find(context.live(), context.caller.connection)
    link.ask(context, session, protocol.Close(principal=context.caller.principal))
    terminal.result({"session": session.id, "state": "closed"}, f"closed session {session.id}", command.wants_json)
    return 0
