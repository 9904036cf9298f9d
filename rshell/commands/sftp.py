"""The SFTP subsystem, or a client's own call of sftp-server: in either case ours, with our arguments."""

from __future__ import annotations

from gateway import sessions
from gateway.errors import EncError
from rshell import link
from rshell.command import Command
from rshell.context import Context


def run(context: Context, command: Command) -> int:
    """Serve SFTP among the views of the channel's session. A refusal is said in SFTP as well."""
    try:
        session = foresee(context, command)
    except EncError as error:
        if command.words[0] != command.verb.name:  # a client's spelling, and not a person who typed `sftp`
            from rshell import nosftp

            nosftp.refuse(error.line())
        raise
    return link.run(context, session, "sftp-server", ("-e", "-l", "QUIET"))


def foresee(context: Context, _command: Command) -> sessions.Session:
    """The session of the channel. Raises NotUnlocked, Busy."""
    return sessions.find(context.live(), context.caller.connection)
