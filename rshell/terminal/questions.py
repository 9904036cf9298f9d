"""Answers of the caller: a secret, or a line."""

from __future__ import annotations

import os
import time

from gateway.base.records import Fd
from gateway.errors import Usage
from rshell.terminal import output

LONGEST_SECRET = 2048


PATIENCE = 600.0
"""Seconds for an answer to a question: a front that nobody answers is not to stay for ever."""


def secret(prompt: str) -> bytes:
    """One line from standard input, without its newline. Raises Usage when there is none or it is too long."""
    from gateway.base.syscalls import make_undumpable

    make_undumpable()
    if not os.isatty(0):
        output.note("reading one line from standard input; if you are typing, it is visible: use ssh -t")
        return _line()
    with _Silent():  # before the prompt: what is typed at once must not be shown, nor thrown away
        try:
            output.write(2, prompt)
            return _line()
        finally:
            output.write(2, "\n")


def line(prompt: str) -> str:
    """One line that is no secret."""
    output.write(2, prompt)
    return _line().decode(errors="replace")


def pipe(content: bytes) -> Fd:
    """The reading end of a pipe that holds `content` and a newline; the writing end is closed."""
    reader, writer = os.pipe()
    try:
        os.write(writer, content + b"\n")
    finally:
        os.close(writer)
    return Fd(reader)


def _line() -> bytes:
    """Byte by byte, so that nothing after the line is taken from whoever reads next."""
    import select

    waiting = select.poll()
    waiting.register(0, select.POLLIN)
    until = time.monotonic() + PATIENCE
    read = bytearray()
    while True:
        if not waiting.poll(max(0.0, until - time.monotonic()) * 1000):
            raise Usage(f"no answer came within {PATIENCE:.0f} s")
        if (byte := os.read(0, 1)) in (b"", b"\n"):
            break
        read += byte
        if len(read) > LONGEST_SECRET:
            raise Usage(f"that line is longer than {LONGEST_SECRET} bytes")
    if not read and not byte:
        raise Usage("standard input ended before a line came", "use ssh -t, or pipe one line in")
    return bytes(read)


class _Silent:
    """The terminal without echo, for as long as the context lasts (termios(3))."""

    def __enter__(self) -> None:
        import termios

        self._before = termios.tcgetattr(0)
        silent = termios.tcgetattr(0)
        silent[3] &= ~termios.ECHO
        termios.tcsetattr(0, termios.TCSAFLUSH, silent)

    def __exit__(self, *_: object) -> None:
        import termios

        try:
            termios.tcsetattr(0, termios.TCSAFLUSH, self._before)
        except termios.error:  # it hung up, and what ends us is what says so
            return
