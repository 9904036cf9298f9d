"""Read answers of the caller from standard input: a secret, or a line."""

from __future__ import annotations

import os
import time

from gateway.base.records import Fd
from gateway.errors import Usage
from gateway.vault.slots import sshsig
from rshell.terminal import output, passphrases

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

MAX_ANSWER = 2048
"""Bytes."""

ANSWER_TIMEOUT = 600.0
"""Seconds. Without it, a front that nobody answers would stay for ever."""

_CHECK_SECONDS = 0.5


def secret(prompt: str, check: Callable[[], None]) -> bytes:
    """Read one line, without its newline, and show nothing of it at a terminal. `check` is called twice a second; what
    it raises ends the wait. `passphrases` says what the line means.

    From here on no other process can read our memory. Raises Usage for no line, and for one that is too long or late.
    """
    _announce()
    return _unseen(prompt, lambda: _line(check))


def _announce() -> None:
    """Say that a line is read, where no terminal asks for it. The client knows, and asks by itself."""
    if not os.isatty(0) and not output.reader_uses_client():
        output.note("reading one line from standard input; what you type is visible: use ssh -t to hide it")


def ready(words: str) -> None:
    """Tell the client that what can be checked was checked: once it hears this, it asks its user. `words` are what it
    is to hear of the answers.
    """
    if output.reader_uses_client() and not os.isatty(0):
        output.note(f"reading {words} from standard input")


def _unseen(prompt: str, read: Callable[[], bytes]) -> bytes:
    from gateway.base.syscalls import make_undumpable

    make_undumpable()
    if not os.isatty(0):
        return read()
    with _EchoOff():  # before the prompt: TCSAFLUSH discards input, and what is typed after the prompt must be kept
        try:
            output.write(2, prompt)
            return read()
        finally:
            output.write(2, "\n")


def secret_or_signature(prompt: str, check: Callable[[], None]) -> bytes:
    """The same, or an armoured SSH signature with all its lines, if the first line begins one."""
    _announce()
    return _unseen(prompt, lambda: _rest_of_signature(_line(check), check))


def signature(prompt: str, check: Callable[[], None]) -> bytes:
    """An armoured SSH signature, or the line that was given in its place. Empty lines before it fall away: who pastes
    adds them. Raises as `secret`.
    """

    def read() -> bytes:
        while not (first := _line(check)).strip():
            continue
        return _rest_of_signature(first, check)

    return _unseen(prompt, read)


def lines(count: int, check: Callable[[], None]) -> list[bytes]:
    """`count` lines. Raises as `secret`."""
    return [_line(check) for _ in range(count)]


def _rest_of_signature(first: bytes, check: Callable[[], None]) -> bytes:
    read = [first]
    if first.rstrip(b"\r") == sshsig.BEGIN:
        while read[-1].rstrip(b"\r") != sshsig.END:
            if len(read) > sshsig.MAX_LINES:
                raise Usage("the SSH signature has no end", "pass on what `ssh-keygen -Y sign` prints as it is")
            read.append(_line(check))
    return b"\n".join(read)


def line(prompt: str, check: Callable[[], None]) -> str:
    """Read one line, which is shown as it is typed, without a carriage return or byte order mark around it.

    Raises as `secret`.
    """
    output.write(2, prompt)
    return _line(check).decode(errors="replace").strip(passphrases.EDGES)


def pipe(content: bytes) -> Fd:
    """The reading end of a pipe that holds `content` and a newline; the writing end is closed."""
    reader, writer = os.pipe()
    try:
        os.write(writer, content + b"\n")
    finally:
        os.close(writer)
    return Fd(reader)


def _line(check: Callable[[], None]) -> bytes:
    """Read byte by byte, so that what follows the line stays in standard input for the next reader."""
    import select

    waiting = select.poll()
    waiting.register(0, select.POLLIN)
    deadline = time.monotonic() + ANSWER_TIMEOUT
    read = bytearray()
    while True:
        while not waiting.poll(min(_CHECK_SECONDS, max(0.0, deadline - time.monotonic())) * 1000):
            if time.monotonic() > deadline:
                raise Usage(f"no answer within {ANSWER_TIMEOUT:.0f} s")
            check()
        if (byte := os.read(0, 1)) in (b"", b"\n"):
            break
        read += byte
        if len(read) > MAX_ANSWER:
            raise Usage(f"the line is longer than {MAX_ANSWER} bytes")
    if not read and not byte:
        raise Usage("standard input ended without a line", "use ssh -t to type it, or pipe it in")
    return bytes(read)


class _EchoOff:
    """A context in which the terminal does not echo (termios(3))."""

    def __enter__(self) -> None:
        import termios

        self._before = termios.tcgetattr(0)
        quiet = termios.tcgetattr(0)
        quiet[3] &= ~termios.ECHO
        termios.tcsetattr(0, termios.TCSAFLUSH, quiet)

    def __exit__(self, *_: object) -> None:
        import termios

        try:
            termios.tcsetattr(0, termios.TCSAFLUSH, self._before)
        except termios.error:  # it hung up: the error that ends us says so
            return
