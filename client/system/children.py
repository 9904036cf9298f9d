"""Programs that end with us: the kernel sends them a signal when enc ends, in whatever way.

A `kill` of `enc run` reaches only enc. Without this, ssh and the program on the gateway would go on.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from typing import Any

from client.system import linux


def run(argv: list[str], *, ending: signal.Signals = signal.SIGTERM, **how: Any) -> subprocess.CompletedProcess[bytes]:
    """As `subprocess.run` with `how`. When we end before it does, it gets the signal `ending`."""
    return subprocess.run(argv, preexec_fn=_tied(ending), check=False, **how)


def call(argv: list[str], *, ending: signal.Signals = signal.SIGTERM, **how: Any) -> int:
    """The exit status, negative for a signal. When we end before it does, it gets the signal `ending`."""
    return subprocess.call(argv, preexec_fn=_tied(ending), **how)


def start(argv: list[str], *, ending: signal.Signals = signal.SIGTERM, **how: Any) -> subprocess.Popen[bytes]:
    """As `subprocess.Popen` with `how`. When we end before it does, it gets the signal `ending`."""
    return subprocess.Popen(argv, preexec_fn=_tied(ending), **how)


def _tied(ending: signal.Signals) -> Callable[[], None]:
    parent = os.getpid()
    tie = linux.signal_at_parents_end(ending)

    def in_child() -> None:
        tie()
        if os.getppid() != parent:  # it ended before the kernel knew
            os._exit(128 + ending)

    return in_child
