"""Which terminal a mount or login belongs to: what called enc, this process itself, or none."""

from __future__ import annotations

import contextlib
import os

from client.state.records import DETACHED, Terminal
from client.system import linux, processes


def calling() -> Terminal:
    """The terminal that called enc: it ends with our parent (a shell or a script) or with the session's leader."""
    followed = []
    for pid in dict.fromkeys((os.getppid(), os.getsid(0))):
        if pid != os.getpid() and (found := processes.find(pid)):
            followed.append(found)
    first = followed[0] if followed else processes.of(1)
    return Terminal(id=f"{first.pid}-{first.start}", followed=tuple(followed), tty=here())


def this_process() -> Terminal:
    """A terminal that ends when this process ends, or the calling one does."""
    me = processes.of(os.getpid())
    above = calling()
    return above._replace(id=f"{me.pid}-{me.start}", followed=(me, *above.followed))


def detached() -> Terminal:
    """A terminal that never ends."""
    return Terminal(id=DETACHED, followed=(), tty="")


def here() -> str:
    """The path of our terminal; "" if we have none."""
    for fd in (2, 1, 0):
        with contextlib.suppress(OSError):
            return os.ttyname(fd)
    return ""


def has_ended(terminal: Terminal) -> bool:
    """Whether one of the processes that it follows has ended."""
    return not all(processes.is_alive(process) for process in terminal.followed)


def lifetime(terminal: Terminal) -> str:
    """How long what belongs to the terminal lasts, for a message."""
    if not terminal.followed:
        return "until you unmount it"
    shell = terminal.followed[0]
    what = "this terminal closes" if terminal.tty else "the program that called enc ends"
    return f"until {what} ({linux.program_name(shell.pid)}, pid {shell.pid})"
