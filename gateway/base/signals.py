"""The signals that ask a front to end: Ctrl-C, Ctrl-\\, a hang-up of the terminal, SIGTERM; raised as `Interrupted`.

`signal` itself would load `enum`, which costs a forced command 4 ms; its C module is what it wraps.
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
"""The code of an `Interrupted` that somebody at a terminal asked for."""


def hold() -> None:
    """Keep what arrives until `listen`: during imports, where Python would report an exception in its own words, and
    from the end of a request until that is recorded.
    """
    pthread_sigmask(SIG_BLOCK, _ALL)
    arm()


def listen() -> None:
    """Raise what arrives from here on, and what has arrived since `hold`."""
    pthread_sigmask(SIG_UNBLOCK, _ALL)


def arm() -> None:
    """Raise the next signal, too: the one before switched them off."""
    sys.unraisablehook = lambda _: arm()  # raised where Python cannot pass it on (a weakref's callback): as if not sent
    for number in _ALL:
        signal(number, _raise)


def _raise(number: int, _frame: object) -> None:
    for other in _ALL:  # a second one must not keep the first from being recorded
        signal(other, SIG_IGN)
    interrupted = Interrupted("interrupted", "what was not said to be done is not done")
    interrupted.code = 128 + number
    raise interrupted


class Undisturbed:
    """A context in which no signal is raised; what arrived meanwhile is at its end."""

    def __enter__(self) -> None:
        self._before = pthread_sigmask(SIG_BLOCK, _ALL)

    def __exit__(self, *_: object) -> None:
        pthread_sigmask(SIG_SETMASK, self._before)
