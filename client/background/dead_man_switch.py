"""When nobody looks after a gateway's mounts any more, the kernel ends the connection: without it they are nothing.

Watchdogs and monitors start each other again, but somebody may kill all of them at once. So each of them holds a pipe
open, and each sshfs the pipe's other end, on which the kernel has been asked to send a signal to the ssh that has the
connection (F_SETOWN, F_SETSIG of fcntl(2)) when its last holder is gone. sshfs then ends by itself and unmounts, and
the gateway locks what the session had.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from client.errors import Unreachable
from client.state.store import Store
from client.system import linux as platform
from client.system import processes
from client.system.processes import Process


@contextlib.contextmanager
def held(store: Store) -> Iterator[int]:
    """A descriptor that makes whoever inherits it one of those who look after the gateway's mounts."""
    fd = os.open(_pipe(store), os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)  # not O_WRONLY, which wants a reader
    try:
        yield fd
    finally:
        os.close(fd)


@contextlib.contextmanager
def guarding(store: Store, master: Process) -> Iterator[int]:
    """A descriptor that, as long as somebody has it open, lets `master` live no longer than the last of the holders.

    Raises Unreachable when it has ended.
    """
    fd = os.open(_pipe(store), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        platform.kill_at_hang_up(fd, master.pid)
        if not processes.alive(master):  # asked afterwards: so the pid that the kernel has noted is that process's
            raise Unreachable("the connection has just ended", "try again")
        yield fd
    finally:
        os.close(fd)


def _pipe(store: Store) -> str:
    path = os.path.join(store.directory, "watchers")
    with contextlib.suppress(FileExistsError):
        os.mkfifo(path, 0o600)
    return path
