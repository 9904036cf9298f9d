"""What is being made, a vault or a session: under which name, and when its maker is taken to be gone. One rule.

A session takes a millisecond to make and a vault about a second, but a host can be suspended in between, and what is
left behind is small. So the age is generous, and by the wall clock, for it outlives a boot.
"""

from __future__ import annotations

import os
import time

PREFIX = ".new-"
AGE = 3600
"""Seconds since the last rename: a directory's other times are its maker's or its user's."""


def abandoned(directory: str) -> tuple[str, ...]:
    """The paths of drafts in `directory` that have lost their maker."""
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
