"""Raise the signals that end a front as `Interrupted`: Ctrl-C, Ctrl-\\, the hang-up of the terminal, SIGTERM.

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
    pthread_sigmask,
    signal,
)

from gateway.errors import Interrupted

_ALL = (SIGINT, SIGQUIT, SIGHUP, SIGTERM)
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
    # where Python drops the exception (in a weakref's callback), go on as if the signal had not been sent
    sys.unraisablehook = lambda _: install_handlers()
    for number in _ALL:
        signal(number, _raise)


def _raise(number: int, _frame: object) -> None:
    for other in _ALL:  # a second signal must not keep the first from being recorded
        signal(other, SIG_IGN)
    interrupted = Interrupted("interrupted", "only what was reported as done is done")
    interrupted.code = 128 + number
    raise interrupted


class SignalsBlocked:
    """A context in which no signal is delivered; those that arrive meanwhile are delivered at its end."""

    def __enter__(self) -> None:
        self._before = pthread_sigmask(SIG_BLOCK, _ALL)

    def __exit__(self, *_: object) -> None:
        pthread_sigmask(SIG_SETMASK, self._before)
