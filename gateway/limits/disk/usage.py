"""How much disk a principal's vaults take: also those in the trash and those being made."""

from __future__ import annotations

import os
import stat
import time

from gateway.errors import CannotCreate
from gateway.vault import store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

MEBI = 1 << 20
_LEAST = 4096
_SECONDS = 5.0
"""Time limit for counting everything that a principal has."""


def size(directory: str, seconds: float) -> tuple[int, bool]:
    """Bytes on disk of everything below `directory`, and whether that is all of it: counting stops after `seconds`.

    An entry that takes no block counts as one: a disk has a limited number of files as well. A directory that its user
    closed (`chmod 0`) is opened for us, and what is in it counts.
    """
    deadline = time.monotonic() + seconds
    total = 0
    for used_ in _blocks(directory):
        total += used_
        if time.monotonic() > deadline:
            return total, False
    return total, True


def _blocks(path: str) -> Iterator[int]:
    pending = [path]
    while pending:
        directory = pending.pop()
        try:
            with os.scandir(directory) as entries:
                for entry in entries:
                    found = entry.stat(follow_symlinks=False)
                    if stat.S_ISDIR(found.st_mode):
                        pending.append(entry.path)
                    yield max(found.st_blocks * 512, _LEAST)
        except PermissionError:
            if store.reopen_directory(directory):
                pending.append(directory)
        except OSError:  # removed while we counted: it does not count
            continue


def count(home: str) -> tuple[int, bool]:
    """`size` of a principal's directory `home`, within 5 s."""
    return size(home, _SECONDS)


def used(home: str) -> int:
    """Bytes on disk of a principal's directory; what could not be counted in time does not count."""
    return count(home)[0]


def require_room(home: str, mebibytes: int) -> None:
    """Raise CannotCreate when the quota (0: none) is used up."""
    if mebibytes and used(home) >= mebibytes * MEBI:
        raise CannotCreate(
            f"your projects take all of the {mebibytes} MiB that they may", "delete something, or ask your sysadmin"
        )
