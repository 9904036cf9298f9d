"""What holds a session, and how its end is noticed."""

from __future__ import annotations

import os
import signal
import stat

from gateway.session.spec import Spec
from gateway.warden.loop import HANGUP, READ, Loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_SIGNALS = ((signal.SIGINT, "logout"), (signal.SIGHUP, "hangup"), (signal.SIGTERM, "shutdown"))


def watch(loop: Loop, spec: Spec, end: Callable[[str], None]) -> None:
    """Call `end` with a reason when bubblewrap, sshd, the prompt that started us, or the channel is gone, or a signal
    says so. Of the channel that is: a terminal that hangs up, or an error on a pipe that we write to.
    """
    for number, reason in _SIGNALS:
        loop.on_signal(number, lambda reason=reason: end(reason))  # type: ignore[misc]
    loop.watch(spec.status, HANGUP, lambda _: end("killed"))
    if spec.monitor is not None:
        loop.watch(spec.monitor, READ, lambda _: end("hangup"))
    if spec.anchor.hangup is not None:
        loop.watch(spec.anchor.hangup, HANGUP, lambda _: end("hangup"))
        return
    for fd in (0, 1, 2):
        if _tells_of_hangup(fd):
            loop.watch(fd, HANGUP, lambda _: end("hangup"))


def _tells_of_hangup(fd: int) -> bool:
    """Whether poll(2) on `fd` tells the end of the channel. The end of a pipe that we read from is none."""
    if os.isatty(fd):
        return True
    mode = os.fstat(fd).st_mode
    return fd != 0 and (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode))
