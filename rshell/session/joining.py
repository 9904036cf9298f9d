"""Hold a project that a live session has unlocked: the same person's on another machine.

There is one view of a vault, whoever uses it. Who joins proves the secret, as for a mount, and that session takes one
more holder (gateway.warden.holders): this channel, which then waits here for its end; or, where the connection has a
session of its own, that session, which keeps the hold for as long as it lives.
"""

from __future__ import annotations

import contextlib
import os
import select

from gateway.base import rlimits, signals
from gateway.base.records import Fd
from gateway.errors import Busy, Dropped, EncError, Interrupted, NotUnlocked, WrongSecret
from gateway.identity.names import in_vault
from gateway.limits import backoff
from gateway.session import asking, channel, launch, protocol
from gateway.session.spec import tells_of_hangup
from gateway.vault import gocryptfs, store
from gateway.vault.slots import stored
from gateway.warden.messages import Printed
from rshell.session import unlocking, warden_client

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socket import socket

    from gateway.identity.names import Named
    from gateway.session.protocol import Unlock
    from gateway.session.registry import Session
    from gateway.vault.slots.stored import Role
    from rshell.context import Context

_LEAVE_SECONDS = asking.LOCK_SECONDS


def prove(context: Context, request: Unlock, session: Session) -> None:
    """Raise WrongSecret unless the secret opens the project. That takes no second view, and counts like a mount."""
    right: bool | None = None
    try:
        vault = context.vault(request.called)
        config = store.open_config(vault, request.slot, request.slot_id)
        try:
            status = gocryptfs.try_secret(vault.cipher, config, request.secret)
        finally:
            os.close(config)
        right = gocryptfs.is_proof(status)
        if not right:
            error = gocryptfs.failure(status, request.slot_kind)
            right = False if isinstance(error, WrongSecret) else None
            log = context.audit.best_effort().bound(session=session.id)
            log.write("unlock-failed", project=request.called, reason=error.slug)
            raise error
        with contextlib.suppress(OSError):  # the session notes the use of the slot alone by which it was unlocked
            stored.note_use(vault.slots, request.slot)
    finally:
        backoff.end_attempt(os.dup(request.attempt), request.called, right)


def by_holder(context: Context, session: Session, project: Named) -> None:
    """The channel of this connection that holds `session` already holds `project` of it as well."""
    request = protocol.Hold(principal=context.caller.principal, origin=context.origin, project=in_vault(project))
    warden_client.ask(context, session, request)


def by_session(context: Context, session: Session, own: Session, project: Named, role: Role) -> None:
    """The session of this connection, `own`, holds `project` of `session`, until it ends or `unmount` says so."""
    with _join(context, session, project, role, (), own) as link:
        keep = protocol.Keep(
            principal=context.caller.principal, origin=context.origin, project=project, link=Fd(link.fileno())
        )
        warden_client.ask(context, own, keep)


def by_channel(context: Context, session: Session, project: Named, role: Role, as_json: bool) -> int:
    """This channel holds it; returns its exit status at its end. Ctrl-C leaves. Raises Dropped, Busy."""
    printed = Printed(1, 2, as_json)
    rlimits.lift_processor_time()
    with _join(context, session, project, role, _lifelines()) as link:
        try:
            return _wait(link, printed, session)
        except Interrupted as interrupted:
            if interrupted.code != signals.CTRL_C:
                raise
            leave = protocol.Leave(principal=context.caller.principal, origin=context.origin, reason="logout")
            try:
                channel.send(link, leave)
            except OSError as error:
                raise _ended(session) from error
            link.settimeout(_LEAVE_SECONDS)
            return _wait(link, printed, session)


def _join(
    context: Context,
    session: Session,
    project: Named,
    role: Role,
    lifelines: tuple[Fd, ...],
    via: Session | None = None,
) -> socket:
    """A connection on which the session has us as a holder. Raises what it refuses that with, and NoSuchProject for
    somebody with whom it is not shared any more, or not in that role: since the session knows of us, `unshare` ends
    what we hold.
    """
    request = protocol.Join(
        principal=context.caller.principal,
        origin=context.origin,
        project=in_vault(project),
        role=role.value,
        connection=context.caller.connection,
        via=via.id if via else "",
        lifelines=lifelines,
    )
    link: socket | None = None
    try:
        link = warden_client.connection(context, session)
        link.settimeout(asking.LOOK_SECONDS)
        warden_client.send(context, link, request)
        reply = channel.receive(link)
        link.settimeout(None)
        if isinstance(reply, protocol.Failed):
            raise protocol.error_of(reply)
        if not isinstance(reply, protocol.Joined):
            raise _ended(session)
        if context.owner_of(project) != context.caller.principal:
            unlocking.require_role(context, context.vault(project), role)
        return link
    except BaseException as error:
        if link is not None:
            link.close()
        if isinstance(error, TimeoutError):
            raise asking.silent(session) from error
        if isinstance(error, (OSError, protocol.Malformed)):
            raise _ended(session) from error
        raise
    finally:
        for fd in lifelines:
            os.close(fd)


def _ended(session: Session) -> EncError:
    return NotUnlocked(f"session {session.id} has just ended", "try again")


def _lifelines() -> tuple[Fd, ...]:
    """Copies of what tells the end of our channel: of our descriptors, and of sshd."""
    monitor = launch.sshd_monitor()
    own = [Fd(os.dup(fd)) for fd in (0, 1, 2) if tells_of_hangup(fd, fd != 0)]
    return (*own, *([] if monitor is None else [monitor]))


def _wait(link: socket, printed: Printed, session: Session) -> int:
    """Say what the session says, until the hold has ended."""
    waiting = select.poll()
    waiting.register(link, select.POLLIN)
    waiting.register(1, 0)
    seconds = link.gettimeout()
    while True:
        ready = dict(waiting.poll(None if seconds is None else seconds * 1000))
        if not ready:
            raise asking.silent(session)
        if link.fileno() not in ready:
            raise Dropped("the connection ended before the command did")
        try:
            message = channel.receive(link)
        except (OSError, protocol.Malformed):
            message = None
        if message is None:
            raise Busy(f"session {session.id} was ended from outside; its projects are locked")
        with message:
            if isinstance(message, protocol.Exited):
                return message.status
            if isinstance(message, protocol.Said):
                printed.say(message.event, message.words)
