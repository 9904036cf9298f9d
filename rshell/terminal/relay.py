"""Carrying bytes between a channel and a program: its terminal, or, where its output is limited, its pipes."""

from __future__ import annotations

import os
import select
import signal

from gateway.base.records import Fd
from gateway.errors import Dropped, Stopped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

_CHUNK = 64 * 1024
_DRAIN_MS = 5_000
"""How long what the program has printed may be on its way to us after its end."""


def dropped() -> Dropped:
    """Our terminal, or whoever takes our output, is gone."""
    return Dropped("the connection ended before the command did")


class Relay:
    """`limit`: bytes of output, 0 for any number. A context: our terminal is as it was at its end, pipes are closed."""

    def __init__(self, limit: int) -> None:
        self._left = limit
        self._limit = limit
        self._outputs: dict[int, int] = {}
        self._given: list[int] = []
        self._controller: int | None = None
        self._typed = b""
        self._before: list[object] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            import termios

            signal.signal(signal.SIGWINCH, signal.SIG_DFL)
            try:
                termios.tcsetattr(0, termios.TCSADRAIN, self._before)  # type: ignore[arg-type]
            except termios.error:  # it hung up, and what ends us is what says so
                self._before = None
        for fd in (*self._outputs, *self._given):
            os.close(fd)

    def standard(self) -> tuple[Fd, Fd, Fd]:
        """The program's standard descriptors: ours, or pipes to us where output is counted."""
        if not self._limit:
            return Fd(0), Fd(1), Fd(2)
        for target in (1, 2):
            reader, writer = os.pipe()
            self._outputs[reader] = target
            self._given.append(writer)
        return Fd(0), Fd(self._given[0]), Fd(self._given[1])

    def begun(self) -> None:
        """The program has its descriptors: ours of them would keep us waiting for its end."""
        while self._given:
            os.close(self._given.pop())

    def attach(self, controller: int) -> None:
        """Connect our terminal with the program's, whose other end is `controller`. Owns that. Raises Dropped."""
        import termios
        import tty

        self._controller = controller
        self._outputs[controller] = 1
        os.set_blocking(controller, False)  # a program that does not read must not keep us from what it prints
        try:
            self._before = termios.tcgetattr(0)
            tty.setraw(0)  # Ctrl-C and the like are for the program's terminal to turn into signals
        except termios.error as error:  # it hung up
            raise dropped() from error
        signal.signal(signal.SIGWINCH, lambda *_: self._resize())
        self._resize()

    def _resize(self) -> None:
        import fcntl
        import termios

        if self._controller is not None:
            try:
                fcntl.ioctl(self._controller, termios.TIOCSWINSZ, fcntl.ioctl(0, termios.TIOCGWINSZ, b"\0" * 8))
            except OSError:  # one of the two hung up, which the next look at it says
                return

    def until_ready(self, answers: int) -> None:
        """Carry until there is something to read from `answers`. Raises Dropped when the channel is gone."""
        while not self._carry(answers):
            continue

    def _carry(self, answers: int) -> bool:
        waiting = select.poll()
        waiting.register(answers, select.POLLIN)
        for source in self._outputs:
            waiting.register(source, select.POLLIN)
        if self._controller is not None:
            if self._typed:
                waiting.register(self._controller, select.POLLIN | select.POLLOUT)
            else:
                waiting.register(0, select.POLLIN)
        waiting.register(1, 0)
        ready = dict(waiting.poll())
        if 1 in ready:
            raise dropped()
        if 0 in ready:
            self._typed = _read_terminal()
        if self._typed and self._controller is not None:
            self._type(self._controller)
        for source in [fd for fd in self._outputs if ready.get(fd, 0) & (select.POLLIN | select.POLLHUP)]:
            self._copy(source)
        return answers in ready

    def _type(self, controller: int) -> None:
        try:
            self._typed = self._typed[os.write(controller, self._typed) :]
        except BlockingIOError:
            return
        except OSError:  # the program has closed its terminal
            self._typed = b""

    def _copy(self, source: int) -> None:
        """A piece of the program's output. Raises Stopped when it is more than is allowed."""
        try:
            data = os.read(source, _CHUNK)
        except BlockingIOError:
            return
        except OSError:  # EIO: nobody has the terminal any more
            data = b""
        target = self._outputs[source]
        if not data:
            del self._outputs[source]
            os.close(source)
            if source == self._controller:
                self._controller = None
            return
        if self._limit and len(data) > self._left:
            raise Stopped(f"the program was stopped: it printed more than {self._limit >> 20} MiB")
        self._left -= len(data)
        _write(target, data)

    def drain(self) -> None:
        """What is still on its way from a program that has ended."""
        while self._outputs:
            waiting = select.poll()
            for source in self._outputs:
                waiting.register(source, select.POLLIN)
            ready = waiting.poll(_DRAIN_MS)
            if not ready:
                return
            for source, _ in ready:
                self._copy(source)


def _read_terminal() -> bytes:
    """What was typed. Raises Dropped when the terminal is gone: it ends, or, when it hung up, gives EIO."""
    try:
        data = os.read(0, 4096)
    except OSError as error:
        raise dropped() from error
    if not data:
        raise dropped()
    return data


def _write(target: int, data: bytes) -> None:
    """All of `data`. Raises Dropped when nobody takes it any more."""
    try:
        while data:
            data = data[os.write(target, data) :]
    except OSError as error:
        raise dropped() from error
