"""Rotating the audit log: close it under another name, and begin a log that continues its chain."""

from __future__ import annotations

import os

from gateway.audit import history, sums
from gateway.audit.archives import DIGITS, archives, last_number
from gateway.audit.log import AuditLog, encoded
from gateway.base import files
from gateway.errors import Misconfigured

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def rotate(log: AuditLog, keep: int) -> str:
    """Rename the log, and begin a new one whose first record names the old one and continues the chain.

    At most `keep` rotated logs are kept (0: all); the record has the number up to which older ones are deleted. At any
    moment there is a log at its path. Closed logs without sums get them. Returns the new name, or "" when the log is
    empty. Raises Misconfigured.
    """
    fd = log.open_locked()
    try:
        if not os.fstat(fd).st_size:
            return ""
        count, prev = log.newest(fd)
        archive = f"{log.path}.{count:0{DIGITS}d}"
        surplus = [*archives(log.path), archive][:-keep] if keep else []
        dropped = max((last_number(path) for path in surplus), default=0)
        record = log.record("rotated", {"previous": os.path.basename(archive), "dropped": dropped})
        line = encoded({**record, "seq": count + 1, "prev": prev})
        _write_first_line(log.path + ".next", line, os.fstat(fd))
        if not (
            os.path.exists(archive) and os.path.samefile(archive, log.path)
        ):  # linked by a rotation that was killed
            os.link(log.path, archive)
        os.rename(log.path + ".next", log.path)
        log.write_head(count + 1, line)
    except OSError as error:
        raise Misconfigured("the audit log cannot be rotated", error.strerror) from error
    finally:
        os.close(fd)
    log.copy_to_syslog(line)
    remove(surplus)
    history.note(log.path)
    return archive


def remove(closed: Iterable[str]) -> None:
    """Delete closed logs and their sums. Raises OSError."""
    for path in closed:
        sums.remove(path)
        os.unlink(path)


def _write_first_line(path: str, line: bytes, like: os.stat_result) -> None:
    """Make a synced log of one line, with the owner of the log `like`."""
    fd = files.open_regular(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        os.fchown(fd, like.st_uid, like.st_gid)
        os.write(fd, line + b"\n")
        os.fsync(fd)
    finally:
        os.close(fd)
