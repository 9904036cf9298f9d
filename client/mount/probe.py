"""Questions through a mount, asked by a child process: if the answer does not come, the child is left behind."""

from __future__ import annotations

import os
import select
import signal

from client.connection import control_socket
from client.state.records import Mount
from client.state.store import Store
from client.system import linux

TIMEOUT = 2.0
"""Seconds for an answer."""
_BUSY_BYTES = 65536
"""If ssh transfers at least this much within the timeout, it is only busy. The probe itself needs far less."""
_NO_ANSWER = 1
_NO_CONTROL = 2
_FAULTS = ("", "it does not answer", "its ssh connection accepts no more commands")
"""By exit status of the child."""


def fault(store: Store, mount: Mount, master: int) -> str:
    """What is wrong with the mount, or with the ssh whose pid is `master`; "" when both answer in time.

    A transfer on a slow line may delay the answer for longer than the timeout. While ssh transfers data, the connection
    is alive, and the probe goes on waiting.
    """
    _reap()
    child = os.fork()
    if child == 0:
        os.closerange(3, 1024)  # a child that hangs must not hold the pipe of background/dead_man_switch.py open
        os._exit(_probe(store, mount, master))
    pidfd = os.pidfd_open(child)
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    try:
        before = linux.bytes_transferred(master)
        while not poll.poll(TIMEOUT * 1000):
            now = linux.bytes_transferred(master)
            if now - before < _BUSY_BYTES:
                os.kill(child, signal.SIGKILL)
                return _FAULTS[_NO_ANSWER]
            before = now
        return _FAULTS[os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])]
    finally:
        os.close(pidfd)


def _probe(store: Store, mount: Mount, master: int) -> int:
    try:
        about = os.stat(mount.directory).st_dev
        os.statvfs(mount.directory)  # by path: a descriptor would make the mount busy while somebody unmounts it
    except OSError:
        return _NO_ANSWER
    if f"{os.major(about)}:{os.minor(about)}" != mount.device:
        return _NO_ANSWER
    return 0 if control_socket.is_answering(store, master) else _NO_CONTROL


def answers(directory: str, device: str, seconds: float) -> bool:
    """Whether the new mount at `directory` shows its content within `seconds`: something on the gateway has answered.

    The mount is in the mount table before sshfs has connected. Of the file system `device` alone an answer counts.
    """
    child = os.fork()
    if child == 0:
        os.closerange(3, 1024)
        os._exit(0 if _shows(directory, device) else _NO_ANSWER)
    pidfd = os.pidfd_open(child)
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    answered = False
    try:
        if poll.poll(seconds * 1000):
            answered = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
            child = 0
    finally:
        if child:
            os.kill(child, signal.SIGKILL)
        os.close(pidfd)
    return answered


def _shows(directory: str, device: str) -> bool:
    try:
        with os.scandir(directory) as entries:
            next(entries, None)
        about = os.stat(directory).st_dev
    except OSError:
        return False
    return f"{os.major(about)}:{os.minor(about)}" == device


def _reap() -> None:
    """Collect the children of earlier probes that have ended since."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return
