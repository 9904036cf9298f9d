"""Measure the disk space of a principal's vaults, including those in the trash and those that are being created."""

from __future__ import annotations

import math
import os
import stat
import time

from gateway.base.text import human_size
from gateway.base.tree.descent import Descent
from gateway.base.tree.walk import ignore, walk
from gateway.errors import CannotCreate
from gateway.limits.disk import ceph_quota
from gateway.vault.members import links

MEBI = 1 << 20
_MIN_ENTRY_BYTES = 4096
_COUNT_SECONDS = 5.0
"""Time limit for counting all vaults of a principal."""


def size(directory: str, seconds: float = math.inf) -> tuple[int, bool]:
    """Bytes on disk of everything below `directory`, and whether the count is complete: it stops after `seconds`. A
    file system that knows is asked, and says how long the files are together.

    An entry without blocks counts as one block, because the number of files on a disk is limited as well. A file with
    several links counts once, and a hole in a file does not. Directories that a user made inaccessible (`chmod 0`) are
    counted, and keep their mode.
    """
    deadline = time.monotonic() + seconds
    if (told := ceph_quota.used(directory)) is not None:
        return told, True
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


def count(home: str, seconds: float = _COUNT_SECONDS) -> tuple[int, bool]:
    """`size` of a principal's directory `home`, without the links to what others share with them, which are others'
    doing.
    """
    total, complete = size(home, seconds)
    others = os.path.join(home, links.DIRECTORY)
    if os.path.lexists(others):
        total -= size(others)[0] + _MIN_ENTRY_BYTES
    return max(0, total), complete


def used(home: str) -> int:
    """Bytes on disk of a principal's directory; without what could not be counted within 5 s."""
    return count(home)[0]


def require_room(home: str, mebibytes: int, needed: int, what: str) -> None:
    """Raise CannotCreate unless `needed` bytes more fit on the disk of `home` and into the quota (0: none)."""
    disk = os.statvfs(home)
    free, where = disk.f_bavail * disk.f_frsize, "the gateway's disk"
    if mebibytes and (left := mebibytes * MEBI - used(home)) < free:
        free, where = max(0, left), f"your quota of {mebibytes} MiB"
    if needed > free:
        hint = "nothing was changed; delete something (`trash empty` too), or ask your sysadmin"
        raise CannotCreate(f"{what} needs {human_size(needed)} more, and {where} has {human_size(free)} left", hint)


def require_quota_left(home: str, mebibytes: int) -> None:
    """Raise CannotCreate if the quota (0: none) is used up."""
    if mebibytes and used(home) >= mebibytes * MEBI:
        raise CannotCreate(
            f"your projects use all of your quota of {mebibytes} MiB", "delete something, or ask your sysadmin"
        )
