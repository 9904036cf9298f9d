"""A program of its own: run a program of `run` on its terminal, in the foreground, and go on with it when it stops.

    python3 -I -S foreground.py WORD...

There is no shell here that could bring a stopped program back: after Ctrl-Z it would stay stopped for good. So there is
no stopping: what stops is continued at once. A shell that is run here has jobs as everywhere.

We are the session leader on the terminal, and the program is in a process group of its own. Signals of the terminal
reach the program alone, and those that end programs we leave to it. We end as it does.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time

_LEFT_TO_IT = (
    *(signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP),
    *(signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU),
)
_AGAIN = (0.0, 0.1, 0.5)
"""Seconds until the group is continued, and again: others in it may stop a little later."""
_STOPPING = (signal.SIGTTIN, signal.SIGTTOU)


def main(words: list[str]) -> int:
    """Returns the exit status, as a shell reports it."""
    for number in _LEFT_TO_IT:
        signal.signal(number, signal.SIG_IGN)
    pid = os.fork()
    if pid == 0:
        _become(words)
    _foreground(pid)
    while True:
        _, status = os.waitpid(pid, os.WUNTRACED)
        if not os.WIFSTOPPED(status):
            return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
        if os.WSTOPSIG(status) in _STOPPING:  # it asked for the terminal before it was its own
            _foreground(pid)
        for seconds in _AGAIN:
            time.sleep(seconds)
            with contextlib.suppress(OSError):
                os.killpg(pid, signal.SIGCONT)


def _foreground(pid: int) -> None:
    """Give the terminal to the process group of `pid`."""
    with contextlib.suppress(OSError):  # it has done so, and is another program now; or it has ended
        os.setpgid(pid, pid)
    with contextlib.suppress(OSError):  # the terminal is gone; or the program has ended
        os.tcsetpgrp(0, pid)


def _become(words: list[str]) -> None:
    try:
        _foreground(os.getpid())
        for number in (*_LEFT_TO_IT, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        os.execvp(words[0], words)  # noqa: S606 - without a shell
    except OSError as error:
        sys.stderr.write(f"enc: the program could not be started: {error.strerror}\n")
        os._exit(127 if isinstance(error, FileNotFoundError) else 126)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
