"""Measure the disk space of a principal's vaults, including those in the trash and those that are being created."""

from __future__ import annotations

import math
import os
import stat
import time

from gateway.errors import CannotCreate
from gateway.vault import store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

MEBI = 1 << 20
_MIN_ENTRY_BYTES = 4096
_COUNT_SECONDS = 5.0
"""Time limit for counting all vaults of a principal."""


def size(directory: str, seconds: float = math.inf) -> tuple[int, bool]:
    """Bytes on disk of everything below `directory`, and whether the count is complete: it stops after `seconds`.

    An entry without blocks counts as one block, because the number of files on a disk is limited as well. Directories
    that a user made inaccessible (`chmod 0`) are made accessible again and counted.
    """
    deadline = time.monotonic() + seconds
    total = 0
    for allocated in _entry_sizes(directory):
        total += allocated
        if time.monotonic() > deadline:
            return total, False
    return total, True


def _entry_sizes(path: str) -> Iterator[int]:
    pending = [path]
    while pending:
        directory = pending.pop()
        try:
            with os.scandir(directory) as entries:
                for entry in entries:
                    found = entry.stat(follow_symlinks=False)
                    if stat.S_ISDIR(found.st_mode):
                        pending.append(entry.path)
                    yield max(found.st_blocks * 512, _MIN_ENTRY_BYTES)
        except PermissionError:
            if store.restore_directory_access(directory):
                pending.append(directory)
        except OSError:  # removed meanwhile
            continue


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
