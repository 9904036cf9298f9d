"""Ask many sessions at once. One that does not answer delays nobody: each step waits for all of them together."""

from __future__ import annotations

import fcntl
import select
import struct
import termios
import time

from gateway.session import channel, layout, liveness, protocol
from gateway.session.registry import Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable, Iterator

    from gateway.session.protocol import Message, Request

    Outcome = tuple[Session, Message | str]

ENDED, SILENT = "ended", "silent"
"""Instead of an answer: the session has ended, or it said nothing sensible in time."""

_RETRY_SECONDS = 0.05
"""How often to connect again to a session where connections queue up, or when we have no descriptor left."""


def ask(
    run: str, sessions: Iterable[Session], request: Callable[[Session], Request], unread: float, unanswered: float
) -> Iterator[Outcome]:
    """Send each session its `request`. Yields each session once, with its answer, ENDED or SILENT, as they come.

    A session is SILENT if it has not even read the request after `unread` seconds, or not answered after `unanswered`.
    The descriptors of an answer are closed.
    """
    inquiry = _Inquiry(run, [_Asked(session) for session in sessions])
    deadlines = _Deadlines(unread, unanswered)
    try:
        while inquiry.owing():
            yield from inquiry.send(request)
            yield from inquiry.answers(deadlines.next())
            yield from inquiry.give_up(deadlines)
    finally:
        inquiry.close()


class _Deadlines:
    def __init__(self, unread: float, unanswered: float) -> None:
        self._unread, self._unanswered = unread, unanswered
        self._began = time.monotonic()

    def next(self) -> float:
        """Seconds until the next one, or after the last one 0."""
        elapsed = time.monotonic() - self._began
        return max(0.0, (self._unread if elapsed < self._unread else self._unanswered) - elapsed)

    def passed(self) -> tuple[bool, bool]:
        """Whether the one for reading, and the one for answering, has passed."""
        elapsed = time.monotonic() - self._began
        return elapsed >= self._unread, elapsed >= self._unanswered


class _Asked:
    """A session that owes an answer. `link` is None until the request is sent."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.link: socket.socket | None = None

    def send(self, run: str, request: Request) -> bool:
        """Connect and send the request. Returns False when the session has ended. Without a `link`, try again."""
        path = layout.path(run, self.session.principal, self.session.id)
        try:
            self.link = channel.connect(path, layout.SOCKET, wait=False)
            channel.send(self.link, request)
        except OSError:
            self.close()
            return _may_live(path)
        return True

    def close(self) -> None:
        if self.link is not None:
            self.link.close()
            self.link = None

    def has_read(self) -> bool:
        """Whether the warden has taken our request from its queue (SIOCOUTQ: bytes that it has not)."""
        if self.link is None:
            return False
        return bool(struct.unpack("i", fcntl.ioctl(self.link, termios.TIOCOUTQ, bytes(4)))[0] == 0)

    def answer(self) -> Message | str:
        """What has arrived. It is the last word."""
        try:
            reply = channel.receive(self.link) if self.link else None
        except protocol.Malformed:
            return SILENT
        except OSError:
            return ENDED
        finally:
            self.close()
        if reply is None:
            return ENDED
        reply.close()
        return reply


def _may_live(path: str) -> bool:
    try:
        return liveness.is_live(path)
    except OSError:  # no descriptor is left
        return True


class _Inquiry:
    """All that owe an answer: those that the request is yet to be sent to, and by descriptor those that have it."""

    def __init__(self, run: str, unsent: list[_Asked]) -> None:
        self._run = run
        self._unsent = unsent
        self._sent: dict[int, _Asked] = {}
        self._poll = select.poll()

    def owing(self) -> bool:
        return bool(self._unsent or self._sent)

    def send(self, request: Callable[[Session], Request]) -> Iterator[Outcome]:
        unsent, self._unsent = self._unsent, []
        for asked in unsent:
            if not asked.send(self._run, request(asked.session)):
                yield asked.session, ENDED
            elif asked.link is None:
                self._unsent.append(asked)
            else:
                self._sent[asked.link.fileno()] = asked
                self._poll.register(asked.link, select.POLLIN)

    def answers(self, seconds: float) -> Iterator[Outcome]:
        """The answers that come within `seconds`; returns at the first of them."""
        for fd, _ in self._poll.poll((min(seconds, _RETRY_SECONDS) if self._unsent else seconds) * 1000):
            asked = self._forget(fd)
            yield asked.session, asked.answer()

    def give_up(self, deadlines: _Deadlines) -> Iterator[Outcome]:
        """Those whose deadline has passed."""
        to_read, to_answer = deadlines.passed()
        if not to_read:
            return
        silent, self._unsent = self._unsent, []
        silent += [self._forget(fd) for fd, asked in list(self._sent.items()) if to_answer or not asked.has_read()]
        for asked in silent:
            asked.close()
            yield asked.session, SILENT

    def _forget(self, fd: int) -> _Asked:
        self._poll.unregister(fd)
        return self._sent.pop(fd)

    def close(self) -> None:
        for asked in self._sent.values():
            asked.close()
