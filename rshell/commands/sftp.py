"""The SFTP subsystem, or a client's own call of sftp-server: in either case ours, with our arguments."""

from __future__ import annotations

from gateway import sessions
from rshell import link
from rshell.command import Command
from rshell.context import Context


def run(context: Context, command: Command) -> int:
    """Serve SFTP among the views of the channel's session."""
    session = sessions.find(context.live(), context.caller.connection)
    return link.run(context, session, "sftp-server", ("-e", "-l", "QUIET"))
