"""All of the log's history, closed logs included, without reading again what cannot have changed."""

from __future__ import annotations

import os

from gateway.audit import lines, query, sums, verification
from gateway.audit.archives import archives
from gateway.audit.sums import Sums
from gateway.audit.tally import Tally

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO


def tally(path: str) -> Tally:
    """The counts of the log at `path` and its closed logs; those that have sums are not opened. Raises OSError.

    The current log is opened first, because it may be rotated while the older ones are read.
    """
    total = Tally()
    with lines.open_log(path) as current:
        for archive in archives(path):
            try:
                total.include(_of_archive(archive, current))
            except FileNotFoundError:  # deleted by a rotation meanwhile
                continue
        total.include(_count(current))
    return total


def note(path: str) -> int:
    """Write the sums of the closed logs of the log `path` that have none; of how many. Logs that cannot be read, or are
    written to, and sums that cannot be written, are left: whoever needs them reads the log.
    """
    return sum(_note(archive) for archive in archives(path) if sums.read(archive) is None)


def _note(archive: str) -> bool:
    try:
        with lines.open_log(archive) as file:
            before = sums.identity(os.fstat(file.fileno()))
            counted = _count(file)
        made = Sums(chain=verification.chain_of(archive), tally=counted)
        if before != sums.identity(os.stat(archive, follow_symlinks=False)):
            return False
        sums.write(archive, before, made)
    except OSError:
        return False
    return True


def _of_archive(archive: str, current: BinaryIO) -> Tally:
    """The counts of a closed log; none if it is the current one, which a rotation that was killed has linked."""
    if os.path.samestat(os.stat(archive, follow_symlinks=False), os.fstat(current.fileno())):
        return Tally()
    noted = sums.read(archive)
    if noted:
        return noted.tally
    with lines.open_log(archive) as file:
        return _count(file)


def _count(file: BinaryIO) -> Tally:
    counted = Tally()
    for event in query.events_in(file):
        counted.add(event)
    return counted
