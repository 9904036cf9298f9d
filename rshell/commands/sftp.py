"""Serve SFTP: as the subsystem, or when a client runs sftp-server itself. Always our program, with our arguments.

`sftp PROJECT` serves a channel that uses one project alone: its session's sftp-server has our descriptors itself, and
no data passes through this process. That is what `enc mount` asks for: 40 us less for each request.
"""

from __future__ import annotations

from gateway.errors import EncError
from gateway.session.registry import Session
from rshell.context import Context
from rshell.language.command import Command
from rshell.session import transfer, warden_client
from rshell.session.sftp import SERVER, SERVER_ARGUMENTS
from rshell.terminal import output


def run(context: Context, command: Command) -> int:
    """Serve SFTP for the caller's views. A client also gets a refusal as an SFTP message."""
    if _project(context, command):
        (session,) = check(context, command)
        return warden_client.run(context, session, warden_client.attach(context, SERVER, SERVER_ARGUMENTS))
    try:
        sessions = check(context, command)
        from rshell.session.sftp.router import Router

        router = Router(context, sessions)
    except EncError as error:
        if command.words[0] != command.verb.name:  # a client asks, and not a person who typed `sftp`
            from rshell.session.sftp import refusal

            refusal.refuse(error.line())
        raise
    if not any(session.views for session in sessions):  # sshd passes this on unless we are its subsystem
        output.note("nothing is unlocked yet; what `mount PROJECT` unlocks will be shown here")
    return router.run()


def check(context: Context, command: Command) -> tuple[Session, ...]:
    """The sessions that this channel can reach, but for those that only keep holds in others. Raises NotUnlocked, and
    as `transfer.session_of`.
    """
    if path := _project(context, command):
        return (transfer.session_of(context, (path,)),)
    sessions = context.sessions()
    keep = {holder.via for session in sessions for holder in session.holders}
    sessions = tuple(one for one in sessions if one.views or one.id not in keep)
    return sessions if len(sessions) > 1 else (context.session_of_channel(sessions),)


def _project(context: Context, command: Command) -> str:
    """The path of the one project that the caller names; "" for none. The options of an sftp-server do not count."""
    named = command.words[1:] if command.words[0] == command.verb.name else ()
    return named[0] if len(named) == 1 and transfer.project_of(named[0], context.sharers()) else ""
