"""What holds a session, and how its end is noticed."""

from __future__ import annotations

import os
import signal
import stat

from gateway.session.spec import Spec
from gateway.session.watchdog import BEAT_SECONDS
from gateway.warden.loop import HANGUP, READ, Loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_SIGNALS = ((signal.SIGINT, "logout"), (signal.SIGHUP, "hangup"), (signal.SIGTERM, "shutdown"))


def watch(loop: Loop, spec: Spec, end: Callable[[str], None]) -> None:
    """Call `end` with a reason when bubblewrap, the watchdog, sshd, the prompt that started us, or the channel is gone,
    or a signal says so. Of the channel that is: a terminal that hangs up, or an error on a pipe that we write to.
    """
    for number, reason in _SIGNALS:
        loop.on_signal(number, lambda reason=reason: end(reason))  # type: ignore[misc]

    def ends(fd: int, events: int, reason: str) -> None:
        def gone(_: int) -> None:
            loop.unwatch(fd)  # it stays as it is, and the end takes its time
            end(reason)

        loop.watch(fd, events, gone)

    ends(spec.status, HANGUP, "killed")
    ends(spec.watchdog, HANGUP, "killed")
    _show_life(loop, spec.watchdog, end)
    if spec.monitor is not None:
        ends(spec.monitor, READ, "hangup")
    if spec.anchor.hangup is not None:
        ends(spec.anchor.hangup, HANGUP, "hangup")
        return
    for fd in (0, 1, 2):
        if _tells_of_hangup(fd):
            ends(fd, HANGUP, "hangup")


def _show_life(loop: Loop, watchdog: int, end: Callable[[str], None]) -> None:
    """Keep the watchdog from killing us, as long as the loop goes round. Call `end` when nobody listens there."""
    try:
        os.write(watchdog, b"\n")
    except OSError:
        end("killed")
        return
    loop.at(BEAT_SECONDS, lambda: _show_life(loop, watchdog, end))


def _tells_of_hangup(fd: int) -> bool:
    """Whether poll(2) on `fd` tells the end of the channel. The end of a pipe that we read from is none."""
    if os.isatty(fd):
        return True
    mode = os.fstat(fd).st_mode
    return fd != 0 and (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode))
