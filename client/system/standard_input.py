"""Whether a program that we gave our standard input to can be started again with the same."""

from __future__ import annotations

import contextlib
import os
import select
import stat


def look() -> int | None:
    """How far our standard input was read, for `again`; None if it is what can be read only once."""
    try:
        kind = os.fstat(0).st_mode
        if stat.S_ISREG(kind):
            return os.lseek(0, 0, os.SEEK_CUR)
    except OSError:  # it is closed
        return 0
    if stat.S_ISCHR(kind):  # a terminal, /dev/null
        return 0
    poll = select.poll()
    poll.register(0, select.POLLIN)
    events = dict(poll.poll(0)).get(0, 0)
    return 0 if events & select.POLLHUP and not events & select.POLLIN else None  # nothing comes any more


def again(before: int | None) -> bool:
    """Go back to where `look` saw it. Whether what was read since can be read again, or there was nothing."""
    with contextlib.suppress(OSError):
        if before is not None and stat.S_ISREG(os.fstat(0).st_mode):
            os.lseek(0, before, os.SEEK_SET)
    return before is not None
