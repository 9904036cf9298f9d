"""What the channel of this session holds in other sessions: a project that one of them had unlocked already.

That session has the view; we have a connection to it, and are there as a holder for as long as we keep it. What it says
goes to our channel. Use there keeps this session from being idle, and use here keeps us from being idle there.
"""

from __future__ import annotations

import contextlib
import socket

from gateway.base.clock import boottime
from gateway.errors import Busy, Internal
from gateway.session import channel, protocol
from gateway.warden.loop import READ, Loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.identity.names import Named
    from gateway.warden.holders.holder import Who
    from gateway.warden.loop import Steps
    from gateway.warden.messages import Messages

_TOUCH_SECONDS = 1.0
"""From one time that we tell of use to the next."""
_LEAVE_SECONDS = 6.0
"""For the others to lock what we were the last to hold: no more than a lock takes in our own session."""


class Elsewhere:
    """`say(event, words)` is our channel, `used()` is called for use there, `ended()` when one of them has ended."""

    def __init__(
        self,
        loop: Loop,
        who: Who,
        say: Callable[[str, str], None],
        used: Callable[[], None],
        ended: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._who = who
        self._say = say
        self._used = used
        self._ended = ended
        self._links: dict[Named, socket.socket] = {}
        self._told = 0.0

    def __bool__(self) -> bool:
        return bool(self._links)

    def keep(self, request: protocol.Keep, messages: Messages) -> None:
        """Raises Busy, Internal, OSError. The request's descriptor stays the caller's."""
        if request.project in self._links:
            raise Busy(f"{request.project} is held by this session already", "`unmount` ends that")
        with socket.fromfd(request.link, socket.AF_UNIX, socket.SOCK_SEQPACKET) as given:
            if (given.family, given.type) != (socket.AF_UNIX, socket.SOCK_SEQPACKET):
                raise Internal("the link is no connection to a session")
            link = given.dup()
        link.setblocking(False)
        self._links[request.project] = link
        self._loop.watch(link.fileno(), READ, lambda _: self._hear(request.project, link, messages))

    def _hear(self, project: Named, link: socket.socket, messages: Messages) -> None:
        try:
            message = channel.receive(link)
        except BlockingIOError:
            return
        except (OSError, protocol.Malformed):
            message = None
        if message is None:
            messages.locked(project, "failed")  # its session was killed
            self._drop(project, link)
            return
        with message:
            match message:
                case protocol.Said():
                    self._say(message.event, message.words)
                case protocol.Used():
                    self._used()
                case _:  # Exited: what led to it was said
                    self._drop(project, link)

    def _drop(self, project: Named, link: socket.socket) -> None:
        self._loop.unwatch(link.fileno())
        link.close()
        del self._links[project]
        self._ended()

    def touch(self) -> None:
        """Something happened in our session. It may be called often."""
        if self._links and boottime() - self._told >= _TOUCH_SECONDS:
            self._told = boottime()
            for link in self._links.values():
                self._send(link, protocol.Touch(principal=self._who.principal, origin=self._who.origin))

    def leave(self, reason: str) -> None:
        """Say that we leave all of them; `has_left` waits for it."""
        leave = protocol.Leave(principal=self._who.principal, origin=self._who.origin, reason=reason)
        for link in self._links.values():
            self._send(link, leave)

    def has_left(self) -> Steps[None]:
        """They have ended what was ours, or do not answer: then the end of the connection tells them."""
        yield lambda: not self._links, _LEAVE_SECONDS
        for link in self._links.values():
            self._loop.unwatch(link.fileno())
            link.close()
        self._links.clear()

    def _send(self, link: socket.socket, message: protocol.Message) -> None:
        with contextlib.suppress(OSError):  # it has ended, or does not listen now
            channel.send(link, message)
