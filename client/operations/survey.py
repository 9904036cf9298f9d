"""What is in a directory that is to be copied into a project: what rsync has to be told, and what cannot be kept."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from client.errors import EncError
from client.operations.project_path import LONGEST

_NOTHING = "nothing was copied"
_SFTP_TIMES = range(1 << 32)
_DISK_TIMES = range(-(1 << 31), 1 << 31)
"""Seconds since the epoch: what SFTP can say, and what every disk can keep."""


class CannotRead(EncError):
    """What is to be copied, or a part of it, is not there or cannot be read or copied; nothing was."""

    code = 66
    slug = "cannot-read"


@dataclass
class Survey:
    """What a directory has, as paths below it.

    `count` is the number of files, links and directories to be copied. `skipped` are sockets, FIFOs and devices, which
    rsync is not asked to copy. `closed` are files that their owner may not read: root can, the gateway cannot.
    `linked`: some file has several links; `holes`: some has holes. `far_disk` and `far_sftp` are the numbers of times
    that not every disk can keep, and that SFTP, by which `enc mount` works, cannot say.
    """

    count: int
    skipped: list[str]
    closed: list[str]
    linked: bool = False
    holes: bool = False
    far_disk: int = 0
    far_sftp: int = 0


def examine(source: str) -> Survey:
    """Look at everything below the directory `source`. Raises CannotRead."""
    survey = Survey(count=0, skipped=[], closed=[])
    try:
        for path, found in _entries(source):
            if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode) or stat.S_ISLNK(found.st_mode)):
                survey.skipped.append(path)
                continue
            need = os.R_OK | os.X_OK if stat.S_ISDIR(found.st_mode) else os.R_OK
            if not os.access(os.path.join(source, path), need, effective_ids=True, follow_symlinks=False):
                raise CannotRead(f"you may not read {path}, so the directory cannot be copied", _NOTHING)
            _note(survey, path, found)
    except OSError as error:
        raise CannotRead(f"{error.filename} cannot be read: {error.strerror}", _NOTHING) from error
    return survey


def leading_out(directory: str) -> list[str]:
    """The symbolic links below `directory` that are absolute, or lead up and out of it."""
    found = []
    for at, directories, files in os.walk(directory):
        for path in (os.path.join(at, name) for name in (*directories, *files)):
            if not os.path.islink(path):
                continue
            below, target = os.path.relpath(path, directory), os.readlink(path)
            if os.path.isabs(target) or _climbs(os.path.join(os.path.dirname(below), target)):
                found.append(below)
    return found


def _climbs(path: str) -> bool:
    return os.path.normpath(path).split("/")[0] == ".."


def _entries(source: str) -> Iterator[tuple[str, os.stat_result]]:
    pending = [""]
    while pending:
        directory = pending.pop()
        with os.scandir(os.path.join(source, directory)) as entries:
            for entry in entries:
                path = os.path.join(directory, entry.name)
                if len(os.fsencode(path)) > LONGEST:
                    raise CannotRead(
                        f"it has a path of more than {LONGEST} bytes, which rsync cannot copy: ...{path[-100:]}",
                        _NOTHING,
                    )
                found = entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(found.st_mode):
                    pending.append(path)
                yield path, found


def _note(survey: Survey, path: str, found: os.stat_result) -> None:
    mode = found.st_mode
    survey.count += 1
    survey.linked |= stat.S_ISREG(mode) and found.st_nlink > 1
    survey.holes |= stat.S_ISREG(mode) and found.st_blocks * 512 < found.st_size
    seconds = found.st_mtime_ns // 10**9
    survey.far_disk += seconds not in _DISK_TIMES
    survey.far_sftp += seconds not in _SFTP_TIMES
    if stat.S_ISDIR(mode) and mode & 0o500 != 0o500:  # we are root, and the gateway's rsync is not
        raise CannotRead(f"the mode of {path} closes it to its owner, so nothing could be copied into it", _NOTHING)
    if stat.S_ISREG(mode) and not mode & 0o400:
        survey.closed.append(path)
