"""The closed logs of a log: rotation named each `<log>.<number of its last line>`."""

from __future__ import annotations

import os

DIGITS = 12
"""Of the number, so that sorting the names sorts the numbers."""


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
