"""A session's watchdog: a process outside of the sandbox that kills a session whose warden shows no life.

A warden that is stopped, or stuck in the kernel, can end nothing any more, and its projects would stay unlocked after
its client has gone. The watchdog is a shell that reads from a socket and starts nothing: 0.1 MiB. The warden's event
loop writes a line into the socket every BEAT_SECONDS. The kernel ends a read that has waited for _LATE_SECONDS
(SO_RCVTIMEO of socket(7)); after two of those in a row the shell sends SIGKILL to its own process group. That group is
bubblewrap, the warden and the watchdog, and no pid is named, so none can be another's by now. SIGKILL from outside of
its namespace ends the warden though it is PID 1 in there, and the kernel ends everything in the namespace with it.

Two in a row: what stops everything at once (a suspended host, a frozen container) lets the clock of the read run on,
and the warden has to have its turn after it. Before the warden's first line nothing is killed: nothing is unlocked yet.
When the session has ended, nobody can read what the shell writes, and it ends as well.
"""

from __future__ import annotations

import os
import struct

from gateway.base import process
from gateway.base.records import Fd

BEAT_SECONDS = 3.0
_LATE_SECONDS = 6
LIMIT_SECONDS = 15
"""After which a session without life is gone: two reads, and time for a machine that has much else to do."""

_SHELL = "/bin/sh"
_SCRIPT = """
late=none
while :; do
    if read -r _; then
        late=no
    else
        echo || exit
        case $late in
            no) late=yes ;;
            yes) kill -9 0 ;;
        esac
    fi
done
"""


def start() -> Fd:
    """Start the watchdog of the process group of this process, which becomes a session. Returns the warden's end of the
    socket, non-blocking. The watchdog ignores the signals that this process ignores. Raises EncError.
    """
    import _socket  # of which `socket` makes 12 ms

    ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
    theirs.setsockopt(_socket.SOL_SOCKET, _socket.SO_RCVTIMEO, struct.pack("ll", _LATE_SECONDS, 0))
    connection = theirs.fileno()
    try:
        process.spawn([_SHELL, "-c", _SCRIPT], {0: connection, 1: connection}, default_signals=False)
    finally:
        theirs.close()
    fd = Fd(ours.detach())
    os.set_blocking(fd, False)
    return fd
