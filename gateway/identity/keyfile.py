"""Edit authorized_keys atomically. Lines that are not edited stay as they are, byte for byte."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable

from gateway.base import files, locks
from gateway.errors import Busy, Misconfigured
from gateway.identity import authorized_keys

Change = Callable[[list[str]], None]


def edit(path: str, change: Change) -> None:
    """Call `change` on the list of lines (without newlines; `entry.line - 1` is an index), and write the result back.

    Owner and mode are kept, a symbolic link is followed, and concurrent calls wait for each other. If `change` raises,
    the file is not changed. Raises Busy if another program changed the file meanwhile, Misconfigured if it cannot be
    read or written.
    """
    path = os.path.realpath(path)
    try:
        with locks.DirectoryLock(os.path.dirname(path)):
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
        raise Busy(f"another program has just changed {path}", "nothing was changed by this command; try again")


def entries(lines: list[str]) -> tuple[authorized_keys.Entry, ...]:
    """Parse the lines that `edit` passes to a change."""
    return authorized_keys.parse("\n".join(lines))


def append(lines: list[str], line: str) -> None:
    """Append a line, whether or not the file ends with a newline."""
    if lines and not lines[-1]:
        lines.pop()
    lines += [line, ""]
