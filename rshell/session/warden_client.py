"""The client of a warden: send a request, wait for the reply (gateway.session.protocol)."""

from __future__ import annotations

from gateway.base import json
from gateway.base.records import Fd, Record
from gateway.errors import EncError, Internal, NotUnlocked
from gateway.session import asking, channel, layout, protocol, registry
from gateway.session.registry import Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from socket import socket
    from typing import Any

    from gateway.identity.names import SessionId
    from gateway.session.asking import Answer
    from rshell.context import Context


def ask(
    context: Context, session: Session, request: protocol.Request, seconds: float | None = asking.LOOK_SECONDS
) -> None:
    """Send `request` to `session` and wait `seconds` (None: as long as it takes) until it is done. Raises what went
    wrong, of the class the warden meant; Busy when it does not answer.
    """
    reply = _talk(context, session, request, seconds)
    if not isinstance(reply, protocol.Done):
        raise Internal("the session gave no proper answer")


def end(context: Context, session: Session, request: protocol.Request) -> list[dict[str, Any]]:
    """The same for what ends a hold: those for whom the view stays."""
    return _others(_talk(context, session, request, asking.LOCK_SECONDS))


def _others(reply: protocol.Message) -> list[dict[str, Any]]:
    if isinstance(reply, protocol.Stays):
        found: list[dict[str, Any]] = json.loads(reply.others)
        return found
    if not isinstance(reply, protocol.Done):
        raise Internal("the session gave no proper answer")
    return []


def names(others: list[dict[str, Any]]) -> str:
    """For people."""
    return ", ".join(f"{one['principal']} from {one['address']} since {one['since']}" for one in others)


def states(context: Context, sessions: tuple[Session, ...]) -> dict[SessionId, dict[str, object] | EncError]:
    """The state of each session: last activity, and when it and its views will lock. Empty if it has just ended; the
    error of one that does not answer.
    """
    request = protocol.Ask(principal=context.caller.principal, origin=context.origin)
    found: dict[SessionId, dict[str, object] | EncError] = {}
    for answer in _ask_all(context, [(session, request) for session in sessions], asking.LOOK_SECONDS):
        if answer.is_silent:
            found[answer.session.id] = asking.silent(answer.session)
        elif answer.reply is None:
            found[answer.session.id] = {}
        elif isinstance(answer.reply, protocol.State):
            found[answer.session.id] = json.loads(answer.reply.report)
        else:
            raise Internal("the session gave no proper answer")
    return found


class Closed(Record):
    """Sessions that have ended, those that were left with the others who hold them, and the error of one that did not
    answer well.
    """

    ended: tuple[SessionId, ...]
    left: tuple[tuple[SessionId, list[dict[str, Any]]], ...]
    failed: EncError | None


def close(context: Context, sessions: tuple[Session, ...], reason: str = "logout", for_all: bool = False) -> Closed:
    """Leave the `sessions`, or with `for_all` end them; returns when everything that the caller held alone is locked.
    `reason` is as in protocol.Close.
    """
    requests = [(session, _close(context, session, reason, for_all)) for session in sessions]
    ended: list[SessionId] = []
    left: list[tuple[SessionId, list[dict[str, Any]]]] = []
    failed: EncError | None = None
    for answer in _ask_all(context, requests, asking.LOCK_SECONDS):
        try:
            if others := _others(_reply(answer)):
                left.append((answer.session.id, others))
            else:
                ended.append(answer.session.id)
        except EncError as error:
            failed = error
    return Closed(ended=tuple(ended), left=tuple(left), failed=failed)


def _close(context: Context, session: Session, reason: str, for_all: bool) -> protocol.Request:
    kind = (
        protocol.CloseForAll
        if for_all and session.protocol >= registry.HAS_HOLDERS and not session.shared
        else protocol.Close
    )
    return kind(principal=context.caller.principal, origin=context.origin, reason=reason)


def attach(
    context: Context, program: str, arguments: tuple[str, ...], stdio: tuple[int, int, int] = (0, 1, 2)
) -> protocol.Attach:
    """The request for a transfer on these descriptors."""
    return protocol.Attach(
        principal=context.caller.principal,
        origin=context.origin,
        project=None,
        program=program,
        arguments=arguments,
        patterns=(),
        traffic=None,
        stdio=protocol.Stdio(stdin=Fd(stdio[0]), stdout=Fd(stdio[1]), stderr=Fd(stdio[2])),
    )


def answer(context: Context, session: Session, request: protocol.Request) -> protocol.Message:
    """The answer, however long it takes. Raises what went wrong."""
    return _talk(context, session, request, None)


def run(context: Context, session: Session, request: protocol.Attach) -> int:
    """Run a transfer in `session`; return its exit status."""
    take_place(context)
    reply = _talk(context, session, request, None)
    if not isinstance(reply, protocol.Exited):
        raise Internal("the session gave no proper answer")
    return reply.status


def send(context: Context, link: socket, request: protocol.Request) -> None:
    """Send `request` as the caller's, by the key and from the address that sshd authenticated. Raises OSError."""
    channel.send(link, _signed(context, request))


def _signed(context: Context, request: protocol.Request) -> protocol.Request:
    caller = context.caller
    return request.replace(
        principal=caller.principal, origin=context.origin, fingerprint=caller.fingerprint, blob=caller.blob
    )


def take_place(context: Context) -> Fd:
    """One of the principal's places for attached programs, held until this process ends. Raises Busy."""
    from gateway.limits import concurrency

    limit = context.config.limits_programs
    return concurrency.acquire(context.config.paths_run, context.caller.principal, concurrency.PROGRAMS, limit)


def connection(context: Context, session: Session) -> socket:
    """The session's socket. Raises OSError when it has ended, Busy when it does not answer."""
    try:
        return channel.connect(layout.path(context.config.paths_run, session.principal, session.id), layout.SOCKET)
    except TimeoutError as error:
        raise asking.silent(session) from error


def _talk(context: Context, session: Session, request: protocol.Request, seconds: float | None) -> protocol.Message:
    return _reply(next(_ask_all(context, [(session, request)], seconds)))


def _ask_all(
    context: Context, requests: Iterable[tuple[Session, protocol.Request]], seconds: float | None
) -> Iterator[Answer]:
    """Raises Dropped if the channel is gone; the wardens then see their sockets close."""
    signed = [(session, _signed(context, request)) for session, request in requests]
    return asking.ask_all(context.config.paths_run, signed, seconds, ours=1)


def _reply(answer: Answer) -> protocol.Message:
    """The reply in `answer`, which has no descriptors. Raises the error in it."""
    if answer.is_silent:
        raise asking.silent(answer.session)
    reply = answer.reply
    if reply is None:
        raise NotUnlocked(f"session {answer.session.id} has just ended")
    reply.close()
    if isinstance(reply, protocol.Failed):
        raise protocol.error_of(reply)
    return reply
