"""Staged names: a file or directory has the prefix `.new-` while it is built, and is then renamed into place.

The process that builds it can be killed, so a staged name that is an hour old counts as abandoned. Building a session
takes a millisecond and a vault about a second, but the host can be suspended meanwhile. The age is measured by the
wall clock, because it has to survive a reboot.
"""

from __future__ import annotations

import os
import time

PREFIX = ".new-"
ABANDONED_AFTER = 3600
"""Seconds since the ctime (last rename or change of attributes): the other times of a directory can be set by users."""


def beside(path: str) -> str:
    """A staged name for `path`, in the same directory. It is random: two processes that build `path` get two names."""
    directory, name = os.path.split(path)
    return os.path.join(directory, f"{PREFIX}{name}-{os.urandom(4).hex()}")


def abandoned(directory: str) -> tuple[str, ...]:
    """The paths in `directory` that have been staged for longer than `ABANDONED_AFTER`."""
    try:
        names = os.listdir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return ()
    paths = (os.path.join(directory, name) for name in names if name.startswith(PREFIX))
    return tuple(path for path in paths if is_older(path, ABANDONED_AFTER))


def is_older(path: str, seconds: float) -> bool:
    """Whether the ctime of `path` is more than `seconds` ago; False if `path` is gone."""
    try:
        return time.time() - os.lstat(path).st_ctime > seconds
    except FileNotFoundError:
        return False
