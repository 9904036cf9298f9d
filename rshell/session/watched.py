"""Run a program in a sandbox for the caller, as long as the caller is there and may have it."""

from __future__ import annotations

import os
import select
import signal

from gateway.base import process
from gateway.base.clock import boottime
from gateway.errors import Dropped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_CHECK_SECONDS = 0.5
_STDOUT = 1
_UNMOUNT_SECONDS = 10.0
"""For a program that mounts to end by itself, until it is killed."""


class Sandbox:
    """bubblewrap with `argv`, which has been started: to be waited for.

    Its standard input is a pipe that ends with us, also when we are killed. A program that `mounts` ends at that, and
    unmounts before (gateway.vault.inside.private_view); bubblewrap has --die-with-parent for any other. `stdio` and
    `pass_fds` as for gateway.base.process.spawn. Raises Internal.
    """

    def __init__(self, argv: list[str], stdio: Mapping[int, int], pass_fds: Iterable[int], mounts: bool) -> None:
        lifeline, self._lifeline = os.pipe2(os.O_CLOEXEC)
        self._grace = _UNMOUNT_SECONDS if mounts else 0
        try:
            self._pid = process.spawn(argv, {**stdio, 0: lifeline}, pass_fds)
        except BaseException:
            os.close(self._lifeline)
            raise
        finally:
            os.close(lifeline)

    def wait(
        self, check: Callable[[], None], what: str, told: tuple[int, Callable[[bytes], object]] | None = None
    ) -> int:
        """Its exit status. `told`: a descriptor, and what gets all that is read there.

        `check` is called twice a second. What it raises, a signal, or the end of the caller's channel (Dropped, which
        says `what` had not ended) ends the sandbox first.
        """
        ended = os.pidfd_open(self._pid)
        waiting = select.poll()
        waiting.register(ended, select.POLLIN)
        waiting.register(_STDOUT, 0)
        if told:
            waiting.register(told[0], select.POLLIN)
        has_ended, looked = False, boottime()
        try:
            while not has_ended:
                ready = dict(waiting.poll(_CHECK_SECONDS * 1000))
                has_ended = ended in ready
                if told and told[0] in ready and not _pass_on(*told):
                    waiting.unregister(told[0])
                if _STDOUT in ready and not has_ended:
                    raise Dropped(f"the connection ended before {what} did")
                if boottime() - looked >= _CHECK_SECONDS:
                    check()
                    looked = boottime()
            while told and process.wait_readable(told[0], 0) and _pass_on(*told):
                continue
        finally:
            os.close(self._lifeline)
            if not has_ended and not process.wait_readable(ended, self._grace):
                os.kill(self._pid, signal.SIGKILL)
            os.close(ended)
            status = os.waitpid(self._pid, 0)[1]
        return process.exit_status(status)


def _pass_on(fd: int, tell: Callable[[bytes], object]) -> bool:
    """Whether it is not at its end."""
    content = os.read(fd, 1 << 16)
    if content:
        tell(content)
    return bool(content)


def is_gone() -> bool:
    """Whether nobody is left who reads our standard output."""
    waiting = select.poll()
    waiting.register(_STDOUT, 0)
    return bool(waiting.poll(0))
