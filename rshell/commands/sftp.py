"""Serve SFTP: as the subsystem, or when a client runs sftp-server itself. Always our program, with our arguments."""

from __future__ import annotations

from gateway.errors import EncError
from gateway.session import registry
from gateway.session.registry import Session
from rshell.context import Context
from rshell.language.command import Command
from rshell.terminal import output


def run(context: Context, command: Command) -> int:
    """Serve SFTP for the caller's views. A client also gets a refusal as an SFTP message."""
    try:
        sessions = check(context, command)
        from rshell.session.sftp.router import Router

        router = Router(context, sessions)
    except EncError as error:
        if command.words[0] != command.verb.name:  # a client asks, and not a person who typed `sftp`
            from rshell.session.sftp import refusal

            refusal.refuse(error.line())
        raise
    if not any(session.views for session in sessions):
        output.note("nothing is unlocked yet; what `mount PROJECT` unlocks will be shown here")
    return router.run()


def check(context: Context, _command: Command) -> tuple[Session, ...]:
    """The sessions that this channel can reach. Raises NotUnlocked."""
    sessions = context.sessions()
    return sessions if len(sessions) > 1 else (registry.find(sessions, context.caller.connection),)
