"""Serve SFTP: as the subsystem, or when a client runs sftp-server itself. Always our program, with our arguments."""

from __future__ import annotations

from gateway.errors import EncError
from gateway.session import registry
from gateway.session.registry import Session
from rshell.context import Context
from rshell.language.command import Command
from rshell.session import warden_client


def run(context: Context, command: Command) -> int:
    """Serve SFTP for the caller's views. A client also gets a refusal as an SFTP message."""
    try:
        sessions = check(context, command)
        if len(sessions) > 1:
            from rshell.session.sftp.router import Router

            router = Router(context, sessions)
    except EncError as error:
        if command.words[0] != command.verb.name:  # a client asks, and not a person who typed `sftp`
            from rshell.session.sftp import refusal

            refusal.refuse(error.line())
        raise
    if len(sessions) > 1:
        return router.run()
    from rshell.session.sftp.backend import ARGUMENTS

    return warden_client.run(context, sessions[0], "sftp-server", ARGUMENTS)


def check(context: Context, _command: Command) -> tuple[Session, ...]:
    """The sessions that this channel can reach, but for those that only keep holds in others: to serve several costs
    time. Raises NotUnlocked.
    """
    sessions = context.sessions()
    keep = {holder.via for session in sessions for holder in session.holders}
    sessions = tuple(one for one in sessions if one.views or one.id not in keep)
    return sessions if len(sessions) > 1 else (registry.find(sessions, context.caller.connection),)
