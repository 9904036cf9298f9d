"""The quota that CephFS keeps of a directory by itself, as attributes of it. Other file systems have none.

Ceph's clients check it, some seconds late: who has root on a host of the cluster can ignore it.
"""

from __future__ import annotations

import os

_USED, _LIMIT = "ceph.dir.rbytes", "ceph.quota.max_bytes"
_MEBI = 1 << 20


def used(directory: str) -> int | None:
    """Bytes of everything below `directory`, each file as long as it is; None where the file system does not count."""
    return _number(directory, _USED)


def is_limited(directory: str, mebibytes: int) -> bool:
    """Whether the file system lets `directory` grow to that many MiB and no further."""
    return _number(directory, _LIMIT) == mebibytes * _MEBI


def limit(root: str, name: str, mebibytes: int) -> None:
    """Let the directory `name` in `root` grow to that many MiB (0: without a limit). Follows no link. Does nothing
    where this is so already, and where the file system does not count. Raises OSError: EPERM for a cephx key without p.
    """
    directory = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    finally:
        os.close(directory)
    try:
        if _number(fd, _USED) is not None and (_number(fd, _LIMIT) or 0) != mebibytes * _MEBI:
            os.setxattr(fd, _LIMIT, b"%d" % (mebibytes * _MEBI))
    finally:
        os.close(fd)


def _number(where: str | int, attribute: str) -> int | None:
    """None where there is no such attribute: CephFS has none for a limit that is not set."""
    try:
        return int(os.getxattr(where, attribute, follow_symlinks=not isinstance(where, str)))
    except (OSError, ValueError):
        return None
