"""Serve SFTP: as the subsystem, or when a client runs sftp-server itself. Always our program, with our arguments."""

from __future__ import annotations

from gateway.errors import EncError
from gateway.session import registry
from gateway.session.registry import Session
from rshell.context import Context
from rshell.language.command import Command
from rshell.session import warden_client


def run(context: Context, command: Command) -> int:
    """Serve SFTP for the views of the channel's session. A client also gets a refusal as an SFTP message."""
    try:
        session = check(context, command)
    except EncError as error:
        if command.words[0] != command.verb.name:  # a client asks, and not a person who typed `sftp`
            from rshell.session import sftp_refusal

            sftp_refusal.refuse(error.line())
        raise
    return warden_client.run(context, session, "sftp-server", ("-e", "-l", "QUIET"))


def check(context: Context, _command: Command) -> Session:
    """The session that serves this channel. Raises NotUnlocked, Busy."""
    return registry.find(context.sessions(), context.caller.connection)
