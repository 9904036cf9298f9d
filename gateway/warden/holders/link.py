"""A channel that joined later: its front, or another session of the same person, is at the other end of a connection.

The holder is there for as long as that connection is, and all descriptors that came with it. Nothing waits for the
other end: who does not take what it is told is not told.
"""

from __future__ import annotations

import os
import socket

from gateway.audit.reasons import REASONS
from gateway.base.clock import boottime
from gateway.session import channel, protocol
from gateway.warden.holders.holder import MOUNT, Holder, Who, names_of
from gateway.warden.loop import HANGUP, READ, Loop
from gateway.warden.messages import Messages

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.identity.names import Principal, SessionId


_USED_SECONDS = 1.0
"""From one time that we tell of use to the next."""


class Link(Holder):
    """`left(self, reason)` is called when it leaves or is gone, `active(self)` when its session tells that it is in
    use. The request's descriptors stay the caller's.
    """

    def __init__(
        self,
        loop: Loop,
        name: str,
        session: SessionId,
        owner: Principal,
        request: protocol.Join,
        who: Who,
        link: socket.socket,
        left: Callable[[Holder, str], None],
        active: Callable[[Holder], None],
    ) -> None:
        super().__init__(name, who, MOUNT, Messages(session, self._said, names_of(who.principal, owner)), request.via)
        self._loop = loop
        self._link = link
        self._left = left
        self._active = active
        self._lifelines: list[int] = []
        self._told = 0.0
        link.setblocking(False)
        try:
            for fd in request.lifelines:
                self._lifelines.append(os.dup(fd))
            channel.send(link, protocol.Joined(session=session))
        except OSError:
            self._close_lifelines()
            raise
        for lifeline in self._lifelines:
            # A pidfd is readable when its process has ended; what else is passed is written to, never read from.
            loop.watch(lifeline, READ if _is_pidfd(lifeline) else HANGUP, lambda _: self._gone("hangup"))
        loop.watch(link.fileno(), READ, lambda _: self._hear())

    def _hear(self) -> None:
        try:
            message = channel.receive(self._link)
        except BlockingIOError:
            return
        except (OSError, protocol.Malformed):
            message = None
        if message is None:
            self._gone("hangup")
            return
        with message:
            if isinstance(message, protocol.Touch):
                self._active(self)
            elif isinstance(message, protocol.Leave) and _may_give(message.reason):
                self._gone(message.reason)
            else:
                self._gone("hangup")

    def _gone(self, reason: str) -> None:
        self._unwatch()  # it stays as it is, and the end takes its time
        self._left(self, reason)

    def _unwatch(self) -> None:
        for fd in (self._link.fileno(), *self._lifelines):
            self._loop.unwatch(fd)

    def _close_lifelines(self) -> None:
        while self._lifelines:
            os.close(self._lifelines.pop())

    def _said(self, event: str, words: str) -> None:
        self._send(protocol.Said(event=event, words=words))

    def used(self) -> None:
        if self.via and boottime() - self._told >= _USED_SECONDS:
            self._told = boottime()
            self._send(protocol.Used())

    def _send(self, message: protocol.Message) -> None:
        try:
            channel.send(self._link, message)
        except OSError:  # gone, which its hang-up tells, or not now
            return

    def end(self, status: int) -> None:
        self._unwatch()
        self._send(protocol.Exited(status=status))
        self._link.close()
        self._close_lifelines()


def _may_give(reason: str) -> bool:
    """What a holder can say of itself."""
    return reason in REASONS and (REASONS[reason].asked_for or reason in ("revoked", "hangup", "idle-session"))


def _is_pidfd(fd: int) -> bool:
    return "pidfd" in os.readlink(f"/proc/self/fd/{fd}")
