"""Measure the disk space of a principal's vaults, including those in the trash and those that are being created."""

from __future__ import annotations

import math
import os
import stat
import time

from gateway.base.tree.descent import Descent
from gateway.base.tree.walk import ignore, walk
from gateway.errors import CannotCreate

MEBI = 1 << 20
_MIN_ENTRY_BYTES = 4096
_COUNT_SECONDS = 5.0
"""Time limit for counting all vaults of a principal."""


def size(directory: str, seconds: float = math.inf) -> tuple[int, bool]:
    """Bytes on disk of everything below `directory`, and whether the count is complete: it stops after `seconds`.

    An entry without blocks counts as one block, because the number of files on a disk is limited as well. A file with
    several links counts once, and a hole in a file does not. Directories that a user made inaccessible (`chmod 0`) are
    counted, and keep their mode.
    """
    deadline = time.monotonic() + seconds
    try:
        descent = Descent(directory)
    except OSError:  # removed meanwhile
        return 0, True
    total, linked = 0, set[tuple[int, int]]()
    try:
        for entries in walk(descent, ignore):
            for found in entries.values():
                total += _allocated(found, linked)
            if time.monotonic() > deadline:
                return total, False
    except OSError:  # a directory was moved meanwhile
        return total, False
    finally:
        descent.close()
    return total, True


def _allocated(found: os.stat_result, linked: set[tuple[int, int]]) -> int:
    """Bytes of one entry. `linked` are the files with several links that have been counted."""
    if found.st_nlink > 1 and not stat.S_ISDIR(found.st_mode):
        identity = found.st_dev, found.st_ino
        if identity in linked:
            return 0
        linked.add(identity)
    return max(found.st_blocks * 512, _MIN_ENTRY_BYTES)


def count(home: str) -> tuple[int, bool]:
    """`size` of a principal's directory `home`, within 5 s."""
    return size(home, _COUNT_SECONDS)


def used(home: str) -> int:
    """Bytes on disk of a principal's directory; without what could not be counted within 5 s."""
    return count(home)[0]


def require_quota_left(home: str, mebibytes: int) -> None:
    """Raise CannotCreate if the quota (0: none) is used up."""
    if mebibytes and used(home) >= mebibytes * MEBI:
        raise CannotCreate(
            f"your projects use all of your quota of {mebibytes} MiB", "delete something, or ask your sysadmin"
        )
