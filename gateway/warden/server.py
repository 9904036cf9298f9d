"""The session's socket: fronts connect, ask one thing, and are answered (gateway.session.protocol).

Nothing waits for a front: one that does not speak in time, or does not take its answer, is given up.
"""

from __future__ import annotations

import errno
import os
import socket

from gateway import errors
from gateway.base.clock import boottime
from gateway.session import channel, protocol
from gateway.warden.loop import READ, Loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Answer = Callable[[protocol.Request, socket.socket], None]

_SECONDS = 5.0
"""From the connection to the request. A front has its request ready when it connects."""
_PAUSE = 0.5
"""Until connections are taken again, after there was no descriptor for one."""


LOOK_OR_END = (
    *(protocol.Ask, protocol.Lock, protocol.LockForAll, protocol.Close, protocol.CloseForAll),
    protocol.Expel,
)
"""What is never refused for want of something, nor because the session ends."""


class Reserve:
    """`count` descriptors that can be freed at once: what ends things must not fail because none is left."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._fds: list[int] = []
        self.refill()

    def release(self) -> None:
        """Free them for who needs one now."""
        while self._fds:
            os.close(self._fds.pop())

    def refill(self) -> None:
        """Take back as many as there are."""
        try:
            while len(self._fds) < self._count:
                self._fds.append(os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC))
        except OSError:  # none is left: the next refill may find some
            return


class Server:
    """Listen at `path`. Each request, with a key if it needs one, goes to `answer` with its front, which
    is `answer`'s then. What that raises as EncError or OSError is told to the front. The request's descriptors are
    closed after it.

    `reserve` is used when no descriptor is left for a connection: to look and to end has to be possible then. Nothing
    else is, until the reserve is whole again: what begins would take what the end needs.
    """

    def __init__(self, loop: Loop, path: str, answer: Answer, reserve: Reserve) -> None:
        self._loop = loop
        self._answer = answer
        self._reserve = reserve
        self._silent: set[socket.socket] = set()
        self._scarce_until = 0.0
        self._listening = channel.listen(path)
        self._listen()

    def _listen(self) -> None:
        self._loop.watch(self._listening.fileno(), READ, lambda _: self._accept())

    def _accept(self) -> None:
        front = self._take() or self._take_from_reserve()
        if front is None:
            self._loop.unwatch(self._listening.fileno())  # it stays ready, and would be asked for ever
            self._loop.at(_PAUSE, self._listen)
            return
        front.setblocking(False)
        self._silent.add(front)
        self._loop.watch(front.fileno(), READ, lambda _: self._request(front))
        self._loop.at(_SECONDS, lambda: self._give_up(front))

    def _take(self) -> socket.socket | None:
        try:
            return self._listening.accept()[0]
        except OSError:
            return None

    def _take_from_reserve(self) -> socket.socket | None:
        self._reserve.release()
        self._scarce_until = boottime() + _SECONDS
        self._loop.at(_SECONDS, self._reserve.refill)
        return self._take()

    def _give_up(self, front: socket.socket) -> None:
        if front in self._silent:
            self._forget(front)
            front.close()

    def _forget(self, front: socket.socket) -> None:
        self._silent.remove(front)
        self._loop.unwatch(front.fileno())

    def _request(self, front: socket.socket) -> None:
        self._forget(front)
        try:
            message = channel.receive(front)
            if message is None:
                front.close()
                return
            with message:
                if not isinstance(message, protocol.Request):
                    raise errors.Denied("that is no request")
                if boottime() < self._scarce_until and not isinstance(message, LOOK_OR_END):
                    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
                if message.needs_key and not message.blob:
                    raise errors.Denied("the request names no key")
                self._answer(message, front)
        except protocol.Malformed:
            front.close()
        except errors.EncError as error:
            reply(front, protocol.failed(error))
        except OSError as error:  # no descriptor, process or space: that refuses the request, and ends no session
            reply(front, protocol.failed(errors.Misconfigured("the gateway's host fails the session", error.strerror)))


def reply(front: socket.socket, message: protocol.Message) -> None:
    """The last word to `front`, which is closed."""
    try:
        channel.send(front, message)
    except OSError:  # it did not wait for the answer
        pass
    finally:
        front.close()
