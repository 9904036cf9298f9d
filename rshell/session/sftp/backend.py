"""An sftp-server in one session, as `router` drives it: requests in, answers out, in the order of the requests."""

from __future__ import annotations

import os
from collections import deque
from contextlib import ExitStack

from gateway.errors import Busy, Internal, NotUnlocked
from gateway.session import channel, protocol
from rshell.session import warden_client
from rshell.session.sftp import SERVER, SERVER_ARGUMENTS, packets

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from socket import socket

    from gateway.session.registry import Session
    from rshell.context import Context

    Answer = Callable[[bytes], bytes]

FULL = 4 * packets.LARGEST
"""Bytes that wait for one side; then nothing more is read for it."""
_CHUNK = 256 * 1024
_ID = slice(5, 9)
"""Of a packet with its length in front."""


class Backend:
    """`number` tells its handles from those of others: it is put in front of them, unless it is 0. `link` is readable
    when it has ended. Number 0 is still to be sent INIT; the others have been.
    """

    def __init__(self, context: Context, session: Session, number: int) -> None:
        """Start it. Raises EncError; then it holds nothing."""
        self.session = session
        self.number = number
        self.to_send = bytearray()
        self._received = bytearray()
        self._answers: deque[tuple[bytes, Answer | None]] = deque()
        self.has_ended = False
        with ExitStack() as undone:
            self._place = warden_client.take_place(context)
            undone.callback(os.close, self._place)
            self.link = _connected(context, session)
            undone.callback(self.link.close)
            self.requests, self.answers = self._started(context, undone)
            undone.pop_all()
        if number:
            self.ask(packets.framed(bytes([packets.INIT]) + b"\0\0\0\3"), lambda _: b"")

    def _started(self, context: Context, undone: ExitStack) -> tuple[int, int]:
        """Where requests go to the program that this starts, and where its answers come from. `undone` closes them."""
        with ExitStack() as theirs:
            requested, requests = _pipe()
            theirs.callback(os.close, requested)
            undone.callback(os.close, requests)
            answers, answered = _pipe()
            theirs.callback(os.close, answered)
            undone.callback(os.close, answers)
            request = warden_client.attach(context, SERVER, SERVER_ARGUMENTS, (requested, answered, 2))
            try:
                warden_client.send(context, self.link, request)
            except OSError as error:
                raise _just_ended(self.session) from error
        for fd in (requests, answers):
            os.set_blocking(fd, False)
        return requests, answers

    def ask(self, packet: bytes, answer: Answer | None = None) -> None:
        """Send `packet`; what comes for it (a packet's body) goes through `answer`, which says what the client gets, or
        to the client as it comes.
        """
        self.to_send += packet
        self._answers.append((packet[_ID], answer))

    def expect_answer(self, id_: bytes) -> None:
        """A request was added to `to_send`, whose answer goes to the client as it comes."""
        self._answers.append((id_, None))

    def number_handles(self, body: bytes) -> bytes:
        """An answer for the client: a handle with our number."""
        if body[0] != packets.HANDLE or len(body) < 9:
            return packets.framed(body)
        return packets.handle(body[1:5], bytes([self.number]) + body[9:])

    def flush(self) -> None:
        """Pass on what it takes now. If it has ended, `link` will say so."""
        try:
            while self.to_send:
                with memoryview(self.to_send) as waiting, waiting[:_CHUNK] as chunk:
                    written = os.write(self.requests, chunk)
                del self.to_send[:written]
        except BlockingIOError:
            return
        except BrokenPipeError:
            self.to_send.clear()

    def collect(self, to_client: bytearray) -> None:
        """Add what the client gets of its answers. Raises Malformed."""
        try:
            self._received += os.read(self.answers, _CHUNK)
        except BlockingIOError:
            return
        begin = at = 0  # what lies between goes as it is
        with memoryview(self._received) as received:
            while end := packets.end(self._received, at):
                if not self._answers:
                    raise packets.Malformed
                _, answer = self._answers.popleft()
                if answer:
                    to_client += received[begin:at]
                    to_client += answer(bytes(received[at + 4 : end]))
                    begin = end
                at = end
            to_client += received[begin:at]
        del self._received[:at]

    def end(self, code: int, why: str) -> bytes:
        """It has ended, and the others go on: what the client gets for the requests that are open."""
        self.has_ended = True
        said = b""
        while self._answers:
            id_, answer = self._answers.popleft()
            status = packets.status(id_, code, why)
            said += answer(status[4:]) if answer else status
        self.to_send.clear()
        self.link.close()
        for fd in (self.requests, self.answers, self._place):
            os.close(fd)
        return said

    @property
    def is_busy(self) -> bool:
        """Whether there are answers to come."""
        return bool(self._answers)

    def status(self) -> int:
        """Its exit status, once `link` is readable. Raises EncError: why it was ended."""
        try:
            reply = channel.receive(self.link)
        except (OSError, protocol.Malformed):
            reply = None
        if reply is None:
            raise _just_ended(self.session)
        reply.close()
        if isinstance(reply, protocol.Failed):
            raise protocol.error_of(reply)
        if not isinstance(reply, protocol.Exited):
            raise Internal("the session gave no proper answer")
        return reply.status


def _connected(context: Context, session: Session) -> socket:
    try:
        return warden_client.connection(context, session)
    except OSError as error:
        raise _just_ended(session) from error


def _just_ended(session: Session) -> NotUnlocked:
    return NotUnlocked(f"session {session.id} has just ended")


def _pipe() -> tuple[int, int]:
    try:
        return os.pipe2(os.O_CLOEXEC)
    except OSError as error:
        raise Busy("this connection has too many sessions open", "connect again") from error
