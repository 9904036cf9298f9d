"""Copy bytes between the channel and a program: through its terminal, or through pipes where its output is limited."""

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
_DRAIN_TIMEOUT_MS = 5_000
"""How long to wait for output that the program printed before its end."""


def dropped() -> Dropped:
    """The error for a terminal, or a reader of our output, that is gone."""
    return Dropped("the connection ended before the command did")


class Relay:
    """A context. `limit`: bytes that the program may print (0: no limit).

    At its end our terminal has its old settings, and the pipes and the program's terminal are closed.
    """

    def __init__(self, limit: int) -> None:
        self._left = limit
        self._limit = limit
        self._outputs: dict[int, int] = {}  # where the program's output comes from: to which descriptor of ours it goes
        self._given: list[int] = []  # the program's ends of the pipes
        self._controller: int | None = None  # of the program's terminal (ptmx(4))
        self._typed = b""  # read from our terminal, not yet written to the program's
        self._settings: list[object] | None = None  # of our terminal, before it was set to raw

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._settings is not None:
            import termios

            signal.signal(signal.SIGWINCH, signal.SIG_DFL)
            try:
                termios.tcsetattr(0, termios.TCSADRAIN, self._settings)  # type: ignore[arg-type]
            except termios.error:  # it hung up: the error that ends us says so
                self._settings = None
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

    def close_program_ends(self) -> None:
        """Close our copies of the program's pipe ends, once it has them: with them open, we would never see the end."""
        while self._given:
            os.close(self._given.pop())

    def attach(self, controller: int) -> None:
        """Connect our terminal with the program's, by its `controller` end, which this closes. Raises Dropped."""
        import termios
        import tty

        self._controller = controller
        self._outputs[controller] = 1
        os.set_blocking(controller, False)  # a program that does not read must not stop us from reading its output
        try:
            self._settings = termios.tcgetattr(0)
            tty.setraw(0)  # the program's terminal turns Ctrl-C and the like into signals
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
            except OSError:  # one of the two hung up; the next read or poll of it reports that
                return

    def copy_until(self, answers: int) -> None:
        """Copy until `answers` is readable. Raises Dropped when the channel is gone, Stopped at the limit."""
        while not self._copy_ready(answers):
            continue

    def _copy_ready(self, answers: int) -> bool:
        """Wait for any descriptor, copy what there is, and return whether `answers` is readable."""
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
        """Copy a chunk of the program's output. Raises Stopped when it exceeds the limit."""
        try:
            data = os.read(source, _CHUNK)
        except BlockingIOError:
            return
        except OSError:  # EIO: no process has the terminal open any more
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
        """Copy the rest of the output of a program that has ended."""
        while self._outputs:
            waiting = select.poll()
            for source in self._outputs:
                waiting.register(source, select.POLLIN)
            ready = waiting.poll(_DRAIN_TIMEOUT_MS)
            if not ready:
                return
            for source, _ in ready:
                self._copy(source)


def _read_terminal() -> bytes:
    """What was typed. Raises Dropped when the terminal is gone: at end of file, or EIO after a hang-up."""
    try:
        data = os.read(0, 4096)
    except OSError as error:
        raise dropped() from error
    if not data:
        raise dropped()
    return data


def _write(target: int, data: bytes) -> None:
    """Write all of `data`. Raises Dropped when the reader is gone."""
    try:
        while data:
            data = data[os.write(target, data) :]
    except OSError as error:
        raise dropped() from error
