"""Programs that end with us: the kernel sends them a signal when enc ends, in whatever way.

A `kill` of `enc run` reaches only enc. Without this, ssh and the program on the gateway would go on.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable
from typing import Any

from client.system import linux

_READ_BYTES = 1 << 16
_END_SECONDS = 3.0


def run(argv: list[str], *, ending: signal.Signals = signal.SIGTERM, **how: Any) -> subprocess.CompletedProcess[bytes]:
    """As `subprocess.run` with `how`. When we end before it does, it gets the signal `ending`."""
    return subprocess.run(argv, preexec_fn=_tied(ending), check=False, **how)


def call(argv: list[str], *, ending: signal.Signals = signal.SIGTERM, **how: Any) -> int:
    """The exit status, negative for a signal. When we end before it does, it gets the signal `ending`."""
    return subprocess.call(argv, preexec_fn=_tied(ending), **how)


def complaints(argv: list[str], *, confine: Callable[[], None] | None = None, **how: Any) -> tuple[int, str]:
    """The exit status, and what it and its children wrote to standard error until the last of them closed it, up to a
    bound. When we end before it does, it gets SIGTERM.

    After Ctrl-C it has a moment to end in order. `confine` is called in it before the program begins, as
    `landlock.confined` makes one.
    """
    said = b""
    ending = _tied(signal.SIGTERM, confine)
    with subprocess.Popen(argv, preexec_fn=ending, stderr=subprocess.PIPE, bufsize=0, **how) as child:
        assert child.stderr  # noqa: S101
        try:
            while chunk := child.stderr.read(_READ_BYTES):
                said += chunk if len(said) < _READ_BYTES else b""
            return child.wait(), said.decode(errors="replace")
        except BaseException:
            child.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(_END_SECONDS)
            child.kill()
            raise


def start(argv: list[str], *, ending: signal.Signals = signal.SIGTERM, **how: Any) -> subprocess.Popen[bytes]:
    """As `subprocess.Popen` with `how`. When we end before it does, it gets the signal `ending`."""
    return subprocess.Popen(argv, preexec_fn=_tied(ending), **how)


def _tied(ending: signal.Signals, confine: Callable[[], None] | None = None) -> Callable[[], None]:
    parent = os.getpid()
    tie = linux.signal_at_parents_end(ending)

    def in_child() -> None:
        tie()
        if os.getppid() != parent:  # it ended before the kernel knew
            os._exit(128 + ending)
        if confine:
            confine()

    return in_child
