"""The session's socket: fronts connect, ask one thing, and are answered (gateway.session.protocol)."""

from __future__ import annotations

import socket

from gateway import errors
from gateway.session import channel, protocol
from gateway.warden.loop import READ, Loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Answer = Callable[[protocol.Request, socket.socket], None]

_SECONDS = 5
"""A front that neither speaks nor listens for so long is given up."""


def serve(loop: Loop, path: str, principal: str, answer: Answer) -> None:
    """Listen at `path`. Each request of `principal` goes to `answer` with its front, which is then `answer`'s; what
    that raises as EncError is told to the front. The request's descriptors are closed after it.
    """
    listening = channel.listen(path)

    def accept(_: int) -> None:
        front, _address = listening.accept()
        front.settimeout(_SECONDS)
        loop.watch(front.fileno(), READ, lambda _: request(front))

    def request(front: socket.socket) -> None:
        loop.unwatch(front.fileno())
        try:
            message = channel.receive(front)
        except (protocol.Malformed, OSError):
            message = None
        if message is None:
            front.close()
            return
        try:
            with message:
                if not isinstance(message, protocol.Request) or message.principal != principal:
                    raise errors.Denied("this session is not yours")
                answer(message, front)
        except errors.EncError as error:
            reply(front, protocol.failed(error))

    loop.watch(listening.fileno(), READ, accept)


def reply(front: socket.socket, message: protocol.Message) -> None:
    """The last word to `front`, which is closed."""
    try:
        channel.send(front, message)
    except OSError:  # it did not wait for the answer
        pass
    finally:
        front.close()
