"""The log of watchdogs and monitors, $XDG_RUNTIME_DIR/enc/<gateway>/log: why they ended what they ended, and crashes.

It is their standard error, so what Python itself has to say is in it too. It names projects and mount points, as
state.json does, and no files in a project.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator

from client.state.store import Store

_MAX_BYTES = 64 * 1024
"""A log that is longer is begun anew by the next that is started."""


@contextlib.contextmanager
def appending(store: Store) -> Iterator[int]:
    """A descriptor of the log, to become the standard error of a watchdog or monitor; /dev/null if there is no log."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        fd = os.open(os.path.join(store.directory, "log"), flags, 0o600)
    except OSError:  # a full tmpfs prevents no watchdog
        fd = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    try:
        if os.fstat(fd).st_size > _MAX_BYTES:
            with contextlib.suppress(OSError):
                os.ftruncate(fd, 0)
        yield fd
    finally:
        os.close(fd)


def note(message: str) -> None:
    """Write a line to our standard error. Never fails."""
    line = f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} [{os.getpid()}] {message}\n"
    with contextlib.suppress(OSError):
        os.write(2, line.encode(errors="backslashreplace"))
