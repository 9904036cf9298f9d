"""A log, and its closed logs: rotation named each `<log>.<number of its last line>`."""

from __future__ import annotations

import os

from gateway.base.records import Record

DIGITS = 12
"""Of the number, so that sorting the names sorts the numbers."""


class Log(Record):
    """A log at `path`, with its closed logs. `host` is whose it is in a cluster, "" for a gateway that is alone.

    `is_copy`: another process appends to it, in pieces that may end within a line, and it has no head file.
    """

    path: str
    host: str = ""
    is_copy: bool = False


def archives(path: str) -> list[str]:
    """The closed logs of the log `path`, oldest first."""
    directory, name = os.path.split(path)
    rest = ((entry, entry.removeprefix(name + ".")) for entry in os.listdir(directory) if entry.startswith(name + "."))
    return sorted(
        os.path.join(directory, entry) for entry, number in rest if len(number) == DIGITS and number.isdecimal()
    )


def last_number(archive: str) -> int:
    """The number of the last line of a closed log, by its name."""
    return int(archive[-DIGITS:])
