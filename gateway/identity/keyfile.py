"""Changing authorized_keys: all or nothing, and every line that is not meant stays as it is, byte for byte."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable

from gateway.base import files, locks
from gateway.errors import Busy, Misconfigured
from gateway.identity import authorized_keys

Change = Callable[[list[str]], None]


def edit(path: str, change: Change) -> None:
    """Have `change` alter the list of lines (without newlines; entry.line - 1 is an index) and put the result in place.

    Owner and mode stay, a link is followed, and editors of this kind wait for each other. What `change` raises leaves
    everything as it was. Raises Busy when somebody else changed the file meanwhile, Misconfigured when it cannot be
    read or written.
    """
    path = os.path.realpath(path)
    try:
        with locks.Directory(os.path.dirname(path)):
            before, text = _read(path)
            lines = text.split("\n")
            change(lines)
            after = "\n".join(lines)
            if after != text:
                after = after if after.endswith("\n") or not after else after + "\n"
                mode, owner = stat.S_IMODE(before.st_mode), (before.st_uid, before.st_gid)
                files.replace(path, after, mode, owner, check=lambda: _refuse_if_changed(path, before))
    except OSError as error:
        raise Misconfigured(f"{path} cannot be changed", error.strerror) from error


def _read(path: str) -> tuple[os.stat_result, str]:
    with open(path, encoding="utf-8", errors="surrogateescape", newline="\n") as file:
        return os.fstat(file.fileno()), file.read()


def _refuse_if_changed(path: str, before: os.stat_result) -> None:
    now = os.stat(path)
    if (now.st_ino, now.st_size, now.st_mtime_ns) != (before.st_ino, before.st_size, before.st_mtime_ns):
        raise Busy(f"{path} was changed by somebody else at this moment", "nothing was done; try again")


def entries(lines: list[str]) -> tuple[authorized_keys.Entry, ...]:
    """What stands in the lines that `edit` hands to a change."""
    return authorized_keys.parse("\n".join(lines))


def append(lines: list[str], line: str) -> None:
    """Add a line at the end, whether or not the last one has a newline."""
    if lines and not lines[-1]:
        lines.pop()
    lines += [line, ""]
