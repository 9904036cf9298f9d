"""Views that only the processes of this sandbox see, and the end of them."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time

from gateway.base import process, syscalls
from gateway.vault import gocryptfs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SECONDS = 60.0
"""For gocryptfs to begin, as an unlock has, and to end."""
_LIFELINE = 0
_BY_FORCE = syscalls.MNT_FORCE | syscalls.MNT_DETACH
"""The first gives an error to all who wait for an answer (umount2(2))."""


class NotMounted(Exception):
    """gocryptfs ended with `status` before it served, or did not serve in time (None); or it did not end well."""

    def __init__(self, status: int | None) -> None:
        super().__init__(status)
        self.status = status


def guard(work: Callable[[], int], *views: str) -> int:
    """Do `work`, which may mount the `views`, in a child, and return its exit status. We are PID 1 of the sandbox.

    Ends it when our standard input does. With the work ends all that it has started: a gocryptfs that has mounted asks
    for a file in its own view before it serves. If it is killed in between, that question waits for an answer that
    nobody gives any more, no signal ends it, and the kernel waits for it for ever. So we unmount by force until nobody
    is left.
    """
    worker = os.fork()
    if not worker:
        sys.exit(work())
    ended = os.pidfd_open(worker)
    waiting = select.poll()
    waiting.register(ended, select.POLLIN)
    waiting.register(_LIFELINE, 0)
    has_ended = ended in dict(waiting.poll())
    status = process.exit_status(os.waitpid(worker, 0)[1]) if has_ended else 1
    _end(views)
    return status


def _end(views: tuple[str, ...]) -> None:
    """End all processes of the sandbox but us."""
    while True:
        with contextlib.suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)
        for view in views:
            with contextlib.suppress(OSError):  # it is not mounted
                syscalls.umount(view, _BY_FORCE)
        try:
            ended, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not ended:
            time.sleep(0.01)


@contextlib.contextmanager
def mounted(cipher: str, config: int, secret: int, view: str, read_only: bool = False) -> Iterator[str]:
    """Mount `cipher` on the new directory `view` for the length of the block, with the secret in the pipe `secret`.

    Raises NotMounted. If the block raises, what serves ends with the sandbox.
    """
    os.mkdir(view)
    argv = gocryptfs.view_argv(cipher, config, secret, view, read_only)
    serving = process.spawn(argv, {}, [config, secret])
    until = time.monotonic() + _SECONDS
    while not os.path.ismount(view):
        ended, status = os.waitpid(serving, os.WNOHANG)
        if ended or time.monotonic() > until:
            raise NotMounted(process.exit_status(status) if ended else None)
        time.sleep(0.01)
    yield view
    syscalls.umount(view)
    left = process.wait(serving, _SECONDS)
    if left != 0:
        raise NotMounted(left)
    os.rmdir(view)
