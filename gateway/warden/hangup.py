"""What a session hangs on whoever holds it, and how its end is noticed (gateway.warden.holders has the channels)."""

from __future__ import annotations

import os
import signal

from gateway.session.spec import Spec
from gateway.session.watchdog import BEAT_SECONDS
from gateway.warden.loop import HANGUP, Loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def watch(loop: Loop, spec: Spec, end: Callable[[str], None]) -> None:
    """Call `end` with a reason when bubblewrap or the watchdog is gone, or SIGTERM says so."""
    loop.on_signal(signal.SIGTERM, lambda: end("shutdown"))
    for fd in (spec.status, spec.watchdog):
        _watch(loop, fd, end)
    _show_life(loop, spec.watchdog, end)


def _watch(loop: Loop, fd: int, end: Callable[[str], None]) -> None:
    def gone(_: int) -> None:
        loop.unwatch(fd)  # it stays as it is, and the end takes its time
        end("killed")

    loop.watch(fd, HANGUP, gone)


def _show_life(loop: Loop, watchdog: int, end: Callable[[str], None]) -> None:
    """Keep the watchdog from killing us, as long as the loop goes round. Call `end` when nobody listens there."""
    try:
        os.write(watchdog, b"\n")
    except OSError:
        end("killed")
        return
    loop.at(BEAT_SECONDS, lambda: _show_life(loop, watchdog, end))
