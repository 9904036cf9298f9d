"""The SFTP subsystem, or a client's own call of sftp-server: in either case ours, with our arguments."""

from __future__ import annotations

from gateway.errors import EncError
from gateway.session import registry
from gateway.session.registry import Session
from rshell.context import Context
from rshell.language.command import Command
from rshell.session import warden_client


def run(context: Context, command: Command) -> int:
    """Serve SFTP among the views of the channel's session. A refusal is said in SFTP as well."""
    try:
        session = foresee(context, command)
    except EncError as error:
        if command.words[0] != command.verb.name:  # a client's spelling, and not a person who typed `sftp`
            from rshell.session import sftp_refusal

            sftp_refusal.refuse(error.line())
        raise
    return warden_client.run(context, session, "sftp-server", ("-e", "-l", "QUIET"))


def foresee(context: Context, _command: Command) -> Session:
    """The session of the channel. Raises NotUnlocked, Busy."""
    return registry.find(context.live(), context.caller.connection)
