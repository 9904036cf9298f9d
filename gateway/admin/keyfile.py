"""Changing authorized_keys: all or nothing, and every line that is not meant stays as it is, byte for byte."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable

from gateway import authorized_keys
from gateway.errors import Busy, Misconfigured

Change = Callable[[list[str]], None]


def edit(path: str, change: Change) -> None:
    """Have `change` alter the list of lines (without newlines; entry.line - 1 is an index) and put the result in place.

    Owner and mode stay, a link is followed, and editors of this kind wait for each other. What `change` raises leaves
    everything as it was. Raises Busy when somebody else changed the file meanwhile, Misconfigured when it cannot be
    read or written.
    """
    path = os.path.realpath(path)
    directory = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        before, text = _read(path)
        lines = text.split("\n")
        change(lines)
        after = "\n".join(lines)
        if after != text:
            _replace(path, before, after if after.endswith("\n") or not after else after + "\n")
            os.fsync(directory)
    except OSError as error:
        raise Misconfigured(f"{path} cannot be changed", error.strerror) from error
    finally:
        os.close(directory)


def _read(path: str) -> tuple[os.stat_result, str]:
    with open(path, encoding="utf-8", errors="surrogateescape", newline="\n") as file:
        return os.fstat(file.fileno()), file.read()


def _replace(path: str, before: os.stat_result, text: str) -> None:
    draft = f"{path}.new-{os.urandom(4).hex()}"
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "w", encoding="utf-8", errors="surrogateescape", newline="\n") as file:
            os.fchown(fd, before.st_uid, before.st_gid)
            os.fchmod(fd, before.st_mode & 0o7777)
            file.write(text)
            file.flush()
            os.fsync(fd)
        now = os.stat(path)
        if (now.st_ino, now.st_size, now.st_mtime_ns) != (before.st_ino, before.st_size, before.st_mtime_ns):
            raise Busy(f"{path} was changed by somebody else at this moment", "nothing was done; try again")
        os.rename(draft, path)
    finally:
        if os.path.lexists(draft):
            os.unlink(draft)


def entries(lines: list[str]) -> tuple[authorized_keys.Entry, ...]:
    """What stands in the lines that `edit` hands to a change."""
    return authorized_keys.parse("\n".join(lines))


def append(lines: list[str], line: str) -> None:
    """Add a line at the end, whether or not the last one has a newline."""
    if lines and not lines[-1]:
        lines.pop()
    lines += [line, ""]
