"""The warden's loop: timers, children, descriptors."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from gateway.base.clock import boottime
from gateway.warden.loop import READ, Loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.warden.loop import Steps


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


def wait(condition: Callable[[], bool], seconds: float) -> Steps[bool]:
    return (yield condition, seconds)


def test_the_end_of_a_child_is_told_with_its_status(loop: Loop) -> None:
    said: dict[str, int] = {}
    for program in ("exit 3", "kill -9 $$"):
        pid = os.posix_spawn("/bin/sh", ["sh", "-c", program], {})
        loop.on_exit(pid, lambda status, program=program: said.update({program: status}))  # type: ignore[misc]
    loop.follow(wait(lambda: len(said) == 2, 10), lambda _: loop.stop())
    loop.run()
    assert said == {"exit 3": 3, "kill -9 $$": 128 + 9}


def test_waiting_ends_at_its_time_though_nothing_happens(loop: Loop) -> None:
    began = time.monotonic()
    came: list[bool] = []
    loop.follow(wait(lambda: False, 0.1), came.append)
    loop.follow(wait(lambda: bool(came), 10), lambda _: loop.stop())
    loop.run()
    assert came == [False]
    assert 0.1 <= time.monotonic() - began < 5


def test_steps_wait_side_by_side_and_hold_up_nothing(loop: Loop) -> None:
    """What one waits for may be another's end. A signal, a timer and a descriptor are attended to meanwhile."""
    reader, writer = os.pipe()
    seen: set[str] = set()
    ended: list[str] = []

    def third(_: bool) -> None:
        ended.append("third")
        loop.stop()

    def readable(_: int) -> None:
        loop.unwatch(reader)
        seen.add("descriptor")

    loop.on_signal(signal.SIGUSR1, lambda: seen.add("signal"))
    loop.watch(reader, READ, readable)
    loop.at(0.05, lambda: seen.add("timer"))
    loop.follow(wait(lambda: "second" in ended, 10), third)
    loop.follow(wait(lambda: len(seen) == 3, 10), lambda _: ended.append("second"))
    loop.follow(wait(lambda: True, 10), lambda _: ended.append("first"))
    assert ended == ["first"], "what need not wait is done at once"
    os.kill(os.getpid(), signal.SIGUSR1)
    os.write(writer, b"x")
    loop.run()
    assert ended == ["first", "second", "third"]
    os.close(reader)
    os.close(writer)


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
