"""The warden's loop: timers, children, descriptors."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import pytest

from gateway.base.clock import boottime
from gateway.warden.loop import READ, Loop


@pytest.fixture
def loop() -> Iterator[Loop]:
    """Its signal handling is the process's: put back afterwards."""
    before = {number: signal.getsignal(number) for number in (signal.SIGCHLD, signal.SIGUSR1)}
    yield Loop()
    signal.set_wakeup_fd(-1)
    for number, handler in before.items():
        signal.signal(number, handler)


def test_timers_come_in_the_order_of_their_time_not_before_it_and_once(loop: Loop) -> None:
    began = boottime()
    fired: list[tuple[str, float]] = []
    for name, delay in (("c", 0.12), ("a", 0.0), ("b", 0.05)):
        loop.at(delay, lambda name=name: fired.append((name, boottime() - began)))  # type: ignore[misc]
    loop.at(0.2, loop.stop)
    loop.run()
    assert [name for name, _ in fired] == ["a", "b", "c"]
    assert fired[1][1] >= 0.05 and fired[2][1] >= 0.12


def test_a_timer_that_sets_itself_again_for_now_starves_nobody(loop: Loop) -> None:
    """Found the hard way: a session that was idle for its limit struck for ever and was never closed."""
    reader, writer = os.pipe()
    turns = 0

    def again() -> None:
        nonlocal turns
        turns += 1
        loop.at(0, again)

    loop.watch(reader, READ, lambda _: loop.stop())
    loop.at(0, again)
    os.write(writer, b"x")
    loop.run()
    assert turns < 100
    os.close(reader)
    os.close(writer)


def test_nothing_is_called_after_stop(loop: Loop) -> None:
    called: list[str] = []
    loop.at(0, loop.stop)
    loop.at(0, lambda: called.append("late"))
    loop.run()
    assert called == []


def test_the_end_of_a_child_is_told_with_its_status(loop: Loop) -> None:
    said: list[int] = []
    for program, expected in (("exit 3", 3), ("kill -9 $$", 128 + 9)):
        pid = os.posix_spawn("/bin/sh", ["sh", "-c", program], {})
        loop.on_exit(pid, said.append)
        assert loop.wait_for(lambda: bool(said), 10)
        assert said == [expected]
        said.clear()


def test_waiting_ends_at_its_time_though_nothing_happens(loop: Loop) -> None:
    began = time.monotonic()
    assert not loop.wait_for(lambda: False, 0.1)
    assert 0.1 <= time.monotonic() - began < 5


def test_a_signal_that_comes_while_waiting_is_answered_afterwards(loop: Loop) -> None:
    answered: list[str] = []

    def answer() -> None:
        answered.append("yes")
        loop.stop()

    loop.on_signal(signal.SIGUSR1, answer)
    os.kill(os.getpid(), signal.SIGUSR1)
    assert not loop.wait_for(lambda: bool(answered), 0.1)
    loop.at(0, lambda: None)
    loop.run()
    assert answered == ["yes"]


def test_what_a_callback_stopped_watching_is_not_called_in_the_same_round(loop: Loop) -> None:
    pipes = [os.pipe() for _ in range(2)]
    called: list[int] = []

    def first_come(reader: int) -> None:
        called.append(reader)
        for other, _ in pipes:
            loop.unwatch(other)
        loop.at(0.05, loop.stop)

    for reader, writer in pipes:
        loop.watch(reader, READ, lambda _, reader=reader: first_come(reader))  # type: ignore[misc]
        os.write(writer, b"x")
    loop.run()
    assert len(called) == 1
    for pair in pipes:
        for fd in pair:
            os.close(fd)
