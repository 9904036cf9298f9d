"""Staging: what is being made has a name that says so, until it is given its own in one step.

Whoever makes something can be killed over it, so a staged name that is an hour old counts as abandoned. A session takes
a millisecond to make and a vault about a second, but a host can be suspended in between. The age is by the wall clock,
for it outlives a boot.
"""

from __future__ import annotations

import os
import time

PREFIX = ".new-"
AGE = 3600
"""Seconds since the last rename or change of attributes: a directory's other times are its maker's or its user's."""


def beside(path: str) -> str:
    """A staged name for `path`, in the same directory: two makers at once get two."""
    directory, name = os.path.split(path)
    return os.path.join(directory, f"{PREFIX}{name}-{os.urandom(4).hex()}")


def abandoned(directory: str) -> tuple[str, ...]:
    """The paths in `directory` that are staged and have lost their maker."""
    try:
        names = os.listdir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return ()
    paths = (os.path.join(directory, name) for name in names if name.startswith(PREFIX))
    return tuple(path for path in paths if is_older(path, AGE))


def is_older(path: str, seconds: float) -> bool:
    """Whether `path` was renamed or changed longer ago than that; not what is gone."""
    try:
        return time.time() - os.lstat(path).st_ctime > seconds
    except FileNotFoundError:
        return False
