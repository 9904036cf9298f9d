"""Ask one or many sessions at once, and wait no longer than is useful for one that does not answer.

A warden answers at once, or within the time that a lock takes. One that is stopped, or stuck, does not.
"""

from __future__ import annotations

import errno
import select
import time

from gateway.base.records import Record
from gateway.errors import Dropped
from gateway.session import channel, layout, protocol
from gateway.session.registry import Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable, Iterator

    from gateway.session.protocol import Message, Request

_RETRY_SECONDS = 0.05


class Answer(Record):
    """What came of a question to `session`: its `reply`, whose descriptors are the caller's, or None when it has ended,
    or, if it `is_silent`, when it did not answer.
    """

    session: Session
    reply: Message | None
    is_silent: bool = False


def ask_all(
    run: str, requests: Iterable[tuple[Session, Request]], seconds: float | None, ours: int | None = None
) -> Iterator[Answer]:
    """Ask all sessions in the run directory `run` at once. Their answers, as they come.

    When for `seconds` (None: no limit) no session has answered, those that are left are silent: many sessions that all
    lock at once share the processor, and each answer shows that they are at it. Raises Dropped when the descriptor
    `ours` hangs up: nobody is left who would be told.
    """
    questions = _Questions(run, requests)
    waiting = questions.waiting
    if ours is not None:
        waiting.register(ours, 0)
    limit = float("inf") if seconds is None else seconds
    try:
        deadline = time.monotonic() + limit
        while (left := deadline - time.monotonic()) > 0:
            yield from questions.begin()
            if not questions:
                return
            for fd, _ in waiting.poll(_milliseconds(min(left, _RETRY_SECONDS) if questions.unasked else left)):
                if fd == ours:
                    raise Dropped("the connection ended before the command did")
                yield questions.answer(fd)
                deadline = time.monotonic() + limit
        for session in questions.sessions():
            yield Answer(session=session, reply=None, is_silent=True)
    finally:
        questions.close()


def _milliseconds(seconds: float) -> float | None:
    return None if seconds == float("inf") else seconds * 1000


class _Questions:
    """Those that are not answered yet: `unasked`, because the session's queue is full or we have no descriptor left for
    a connection now, or asked on a connection that `waiting` polls.
    """

    def __init__(self, run: str, requests: Iterable[tuple[Session, Request]]) -> None:
        self._run = run
        self.unasked = list(requests)
        self._asked: dict[int, tuple[socket.socket, Session]] = {}
        self.waiting = select.poll()

    def __bool__(self) -> bool:
        return bool(self.unasked or self._asked)

    def sessions(self) -> list[Session]:
        return [session for session, _ in self.unasked] + [session for _, session in self._asked.values()]

    def begin(self) -> list[Answer]:
        """Ask those that can be asked now. Those that have ended are answers already."""
        ended, unasked, self.unasked = [], self.unasked, []
        for session, request in unasked:
            try:
                if not self._ask(session, request):
                    self.unasked.append((session, request))
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE):
                    self.unasked.append((session, request))
                else:
                    ended.append(Answer(session=session, reply=None))
        return ended

    def _ask(self, session: Session, request: Request) -> bool:
        link = channel.try_connect(layout.path(self._run, session.principal, session.id), layout.SOCKET)
        if link is None:
            return False
        try:
            channel.send(link, request)
        except OSError:
            link.close()
            raise
        self._asked[link.fileno()] = link, session
        self.waiting.register(link, select.POLLIN)
        return True

    def answer(self, fd: int) -> Answer:
        """What has come on the connection `fd`."""
        self.waiting.unregister(fd)
        link, session = self._asked.pop(fd)
        with link:
            try:
                return Answer(session=session, reply=channel.receive(link))
            except (OSError, protocol.Malformed):
                return Answer(session=session, reply=None)

    def close(self) -> None:
        for link, _ in self._asked.values():
            link.close()
