"""The dead man's switch: when the last watchdog and monitor of a gateway is gone, the kernel kills the connection.

Watchdogs and monitors start each other again, but all of them may be killed at once. So each of them holds a pipe open
for writing, and each sshfs holds the other end. On that end the kernel was asked to send SIGKILL to the ssh that holds
the connection when the last writer is gone (F_SETOWN and F_SETSIG in fcntl(2)). sshfs then ends and unmounts, and the
gateway locks what the session had unlocked.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from client.errors import Unreachable
from client.state.store import Store
from client.system import linux, processes
from client.system.processes import Process


@contextlib.contextmanager
def held(store: Store) -> Iterator[int]:
    """A descriptor that keeps the switch from firing, in this process and in those that inherit it."""
    fd = os.open(_pipe(store), os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)  # O_WRONLY fails without a reader
    try:
        yield fd
    finally:
        os.close(fd)


@contextlib.contextmanager
def armed(store: Store, master: Process) -> Iterator[int]:
    """A descriptor for sshfs to inherit: while a process has it open, the kernel kills `master` with the last holder.

    Raises Unreachable when `master` has ended.
    """
    fd = os.open(_pipe(store), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        linux.kill_at_pipe_hangup(fd, master.pid)
        if not processes.is_alive(master):  # checked afterwards: so the kernel has noted this process and no later one
            raise Unreachable("the connection has just closed", "try again")
        yield fd
    finally:
        os.close(fd)


def _pipe(store: Store) -> str:
    path = os.path.join(store.directory, "watchers")
    with contextlib.suppress(FileExistsError):
        os.mkfifo(path, 0o600)
    return path
