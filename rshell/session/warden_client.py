"""The client of a warden: send a request, wait for the reply (gateway.session.protocol)."""

from __future__ import annotations

import select

from gateway.base import json
from gateway.base.records import Fd
from gateway.errors import Dropped, Internal, NotUnlocked
from gateway.session import channel, layout, protocol
from gateway.session.registry import Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socket import socket

    from rshell.context import Context


def ask(context: Context, session: Session, request: protocol.Request) -> None:
    """Send `request` to `session` and wait until it is done. Raises what went wrong, of the class the warden meant."""
    reply = _talk(context, session, request)
    if not isinstance(reply, protocol.Done):
        raise Internal("the session gave no proper answer")


def state(context: Context, session: Session) -> dict[str, object]:
    """The state of `session`: last activity, and when it and its views will lock. Empty if it has just ended."""
    try:
        reply = _talk(context, session, protocol.Ask(principal=context.caller.principal, origin=context.origin))
    except NotUnlocked:
        return {}
    if not isinstance(reply, protocol.State):
        raise Internal("the session gave no proper answer")
    report: dict[str, object] = json.loads(reply.report)
    return report


def close(context: Context, session: Session) -> None:
    """End `session`; returns when everything in it is locked."""
    ask(context, session, protocol.Close(principal=session.principal, origin=context.origin, reason="logout"))


def run(context: Context, session: Session, program: str, arguments: tuple[str, ...]) -> int:
    """Run `program` in `session` on our standard descriptors; return its exit status."""
    take_place(context)
    request = protocol.Attach(
        principal=context.caller.principal,
        origin=context.origin,
        program=program,
        arguments=arguments,
        stdio=protocol.Stdio(stdin=Fd(0), stdout=Fd(1), stderr=Fd(2)),
    )
    reply = _talk(context, session, request)
    if not isinstance(reply, protocol.Exited):
        raise Internal("the session gave no proper answer")
    return reply.status


def take_place(context: Context) -> Fd:
    """One of the principal's places for attached programs, held until this process ends. Raises Busy."""
    from gateway.limits import concurrency

    limit = context.config.limits_programs
    return concurrency.acquire(context.config.paths_run, context.caller.principal, concurrency.PROGRAMS, limit)


def connection(context: Context, session: Session) -> socket:
    """The session's socket. Raises OSError when it has ended."""
    return channel.connect(layout.path(context.config.paths_run, session.principal, session.id), layout.SOCKET)


def _talk(context: Context, session: Session, request: protocol.Request) -> protocol.Message:
    try:
        with connection(context, session) as link:
            channel.send(link, request)
            _wait(link.fileno())
            reply = channel.receive(link)
    except (OSError, protocol.Malformed) as error:
        raise NotUnlocked(f"session {session.id} has just ended") from error
    if reply is None:
        raise NotUnlocked(f"session {session.id} has just ended")
    reply.close()  # an answer to one of these has no descriptors
    if isinstance(reply, protocol.Failed):
        raise protocol.error_of(reply)
    return reply


def _wait(answer: int) -> None:
    """Wait until the warden answers. Raises Dropped if the channel is gone; the warden then sees the socket close."""
    waiting = select.poll()
    waiting.register(answer, select.POLLIN)
    waiting.register(1, 0)
    while True:
        ready = dict(waiting.poll())
        if answer in ready:
            return
        raise Dropped("the connection ended before the command did")
