"""Asking several sessions at once: a silent one holds up nobody, and is told from one that has ended."""

from __future__ import annotations

import contextlib
import os
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.errors import Dropped
from gateway.identity.names import Principal, SessionId
from gateway.session import asking, channel, layout, protocol, registry
from gateway.session.registry import Session

WHO = Principal("dev1")
ASK = protocol.Ask(principal=WHO, origin="")


def answer(listening: socket.socket) -> None:
    front, _ = listening.accept()
    with front:
        channel.receive(front)
        channel.send(front, protocol.State(report="{}"))


def hang_up(listening: socket.socket) -> None:
    listening.accept()[0].close()


def say_nothing(listening: socket.socket) -> None:
    return


def fill(listening: socket.socket) -> None:
    """As a warden that is stopped, while many fronts wait."""
    listening.listen(0)
    path = listening.getsockname()
    fronts = []
    with contextlib.suppress(BlockingIOError):
        while True:
            front = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
            fronts.append(front)
            front.connect(path)
    threading.current_thread().fronts = fronts  # type: ignore[attr-defined]


@pytest.fixture
def run() -> Iterator[Path]:
    """A run directory whose sockets have a name that is short enough for sun_path (unix(7))."""
    with tempfile.TemporaryDirectory(prefix="enc-u-") as name:
        yield Path(name)


@contextlib.contextmanager
def sessions(run: Path, *wardens: Callable[[socket.socket], None]) -> Iterator[list[Session]]:
    """A session for each warden, which does what it does with the socket in a thread."""
    made, threads = [], []
    with contextlib.ExitStack() as stack:
        for number, warden in enumerate(wardens):
            id_, path, lock = registry.prepare(str(run), WHO)
            stack.callback(os.close, lock)
            record = Session(
                id=SessionId(id_),
                principal=WHO,
                fingerprint="SHA256:x",
                address="127.0.0.1",
                port=number + 1,
                connection="c",
                anchor="session",
                since="2026-11-25T00:00:00Z",
                pid=os.getpid(),
            )
            made.append(record)
            listening = stack.enter_context(channel.listen(os.path.join(path, layout.SOCKET)))
            threads.append(threading.Thread(target=warden, args=(listening,)))
            threads[-1].start()
        time.sleep(0.1)
        yield made
        for thread in threads:
            thread.join(20)


def outcome(answer: asking.Answer) -> str:
    return "silent" if answer.is_silent else type(answer.reply).__name__ if answer.reply else "ended"


def test_those_that_answer_are_told_at_once_and_the_others_in_time(run: Path) -> None:
    with sessions(run, say_nothing, fill, answer, hang_up, answer) as made:
        gone = made[0].replace(id=SessionId("s-000000000000"))
        began = time.monotonic()
        heard = []
        for one in asking.ask_all(str(run), [(session, ASK) for session in (*made, gone)], 1.0):
            heard.append((one.session.port, outcome(one), time.monotonic() - began))
    told = [(3, "State"), (1, "ended"), (4, "ended"), (5, "State")]
    assert sorted((port, what) for port, what, _ in heard[:4]) == sorted(told)
    assert sorted((port, what) for port, what, _ in heard[4:]) == [(1, "silent"), (2, "silent")]
    assert all(took < 1.0 for _, _, took in heard[:4])
    assert heard[-1][2] < 4.0, "not one after the other"


def test_a_session_whose_queue_is_full_is_asked_when_there_is_a_place(run: Path) -> None:
    def wake_up(listening: socket.socket) -> None:
        fill(listening)
        time.sleep(0.5)
        for front in threading.current_thread().fronts:  # type: ignore[attr-defined]
            front.close()
        while True:
            front, _ = listening.accept()
            with front, contextlib.suppress(OSError, protocol.Malformed):
                if channel.receive(front):
                    channel.send(front, protocol.Done())
                    return

    with sessions(run, wake_up) as made:
        (heard,) = asking.ask_all(str(run), [(made[0], ASK)], 10.0)
        assert outcome(heard) == "Done"


def test_an_answer_gives_the_others_more_time(run: Path) -> None:
    """A thousand sessions that lock at once share two cores: each answer shows that they are at it."""

    def slow(seconds: float) -> Callable[[socket.socket], None]:
        def warden(listening: socket.socket) -> None:
            time.sleep(seconds)
            answer(listening)

        return warden

    with sessions(run, slow(0.6), slow(1.2), slow(1.8)) as made:
        heard = [outcome(one) for one in asking.ask_all(str(run), [(session, ASK) for session in made], 1.5)]
    assert heard == ["State"] * 3


def test_nobody_waits_for_a_caller_that_is_gone(run: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with sessions(run, say_nothing) as made, pytest.raises(Dropped):
        next(asking.ask_all(str(run), [(made[0], ASK)], None, ours=writer))
    os.close(writer)


def test_a_connection_that_nobody_takes_is_given_up(run: Path) -> None:
    with sessions(run, fill) as made:
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            channel.connect(layout.path(str(run), WHO, made[0].id), layout.SOCKET, 0.5)
        assert 0.4 < time.monotonic() - began < 5
