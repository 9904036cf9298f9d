"""The question that may hang: a child asks a mount for its size, and is left behind if it gets no answer."""

from __future__ import annotations

import os
import select
import signal

from client.connection import control_socket
from client.state.store import Mount, Store
from client.system import linux as platform

DEADLINE = 2.0
"""Seconds for an answer."""
_MOVES = 65536
"""Bytes that ssh moves meanwhile when it is only busy; what we ask ourselves is far less."""
_SILENT = 1
_FAULTS = ("", "it does not answer", "its connection takes no more commands")
"""By what a child that asks ends with."""


def fault(store: Store, mount: Mount, master: int) -> str:
    """What is wrong with the answers of the mount and of the ssh with pid `master`; "" when they come in time.

    A transfer over a slow line may keep a question waiting for longer than the deadline. As long as ssh moves data,
    the connection is alive, and the question is not given up.
    """
    _reap()
    child = os.fork()
    if child == 0:
        os.closerange(3, 1024)  # one that is stuck is not to pass for somebody who looks after anything (watchers.py)
        os._exit(_ask(store, mount, master))
    handle = os.pidfd_open(child)
    waiting = select.poll()
    waiting.register(handle, select.POLLIN)
    try:
        before = platform.moved(master)
        while not waiting.poll(DEADLINE * 1000):
            now = platform.moved(master)
            if now - before < _MOVES:
                os.kill(child, signal.SIGKILL)
                return _FAULTS[_SILENT]
            before = now
        return _FAULTS[os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])]
    finally:
        os.close(handle)


def _ask(store: Store, mount: Mount, master: int) -> int:
    try:
        about = os.stat(mount.directory).st_dev
        os.statvfs(mount.directory)  # by its path: a descriptor would keep the mount busy while somebody unmounts it
    except OSError:
        return _SILENT
    if f"{os.major(about)}:{os.minor(about)}" != mount.device:
        return _SILENT
    return 0 if control_socket.answers(store, master) else 2


def _reap() -> None:
    """Collect children of earlier questions that came loose at last."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return
