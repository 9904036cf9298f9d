"""Raise the signals that end a front as `Interrupted`: Ctrl-C, Ctrl-\\, the hang-up of the terminal, SIGTERM, and the
limit on processor time (gateway.base.rlimits).

This uses `_signal`, the C module behind `signal`: `signal` loads `enum`, which costs a forced command 4 ms.
"""

from __future__ import annotations

import sys
from _signal import (  # type: ignore[import-not-found]
    SIG_BLOCK,
    SIG_IGN,
    SIG_SETMASK,
    SIG_UNBLOCK,
    SIGHUP,
    SIGINT,
    SIGQUIT,
    SIGTERM,
    SIGXCPU,
    pthread_sigmask,
    signal,
)

from gateway.errors import Interrupted

_ALL = (SIGINT, SIGQUIT, SIGHUP, SIGTERM, SIGXCPU)
CTRL_C: int = 128 + SIGINT
"""The exit code of an `Interrupted` that Ctrl-C caused."""


def block() -> None:
    """Install the handlers, and keep signals pending until `unblock`.

    This is for the imports, during which Python would print a traceback, and for the time between the end of a request
    and its audit record.
    """
    pthread_sigmask(SIG_BLOCK, _ALL)
    install_handlers()


def unblock() -> None:
    """Deliver signals again, including those that arrived since `block`."""
    pthread_sigmask(SIG_UNBLOCK, _ALL)


def install_handlers() -> None:
    """Raise `Interrupted` at the next signal. The handler ignores the signals after that one, until this is called."""
    _raised.clear()
    # where Python drops the exception (in a weakref's callback), go on as if the signal had not been sent
    sys.unraisablehook = lambda _: _handle_all()
    _handle_all()


def _handle_all() -> None:
    for number in _ALL:
        signal(number, _raise)


_raised: list[Interrupted] = []
"""What `_raise` has raised since `install_handlers`."""


def raise_dropped() -> None:
    """Raise the `Interrupted` of a signal since `install_handlers` again: C code may have dropped it."""
    if _raised:
        raise _raised[0]


def _raise(number: int, _frame: object) -> None:
    for other in _ALL:  # a second signal must not keep the first from being recorded
        signal(other, SIG_IGN)
    words = "stopped: it used too much processor time" if number == SIGXCPU else "interrupted"
    interrupted = Interrupted(words, "only what was reported as done is done")
    interrupted.code = 128 + number
    _raised[:] = [interrupted]
    raise interrupted


class SignalsBlocked:
    """A context in which no signal is delivered; those that arrive meanwhile are delivered at its end."""

    def __enter__(self) -> None:
        self._before = pthread_sigmask(SIG_BLOCK, _ALL)

    def __exit__(self, *_: object) -> None:
        pthread_sigmask(SIG_SETMASK, self._before)
