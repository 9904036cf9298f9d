"""The audit log: the only module that writes it.

One JSON object a line. `seq` counts from 1, `prev` is the SHA-256 of the bytes of the line before (64 zeros for the
first), so a changed, removed or inserted line breaks the chain (`gateway.auditcheck`). Beside the log lies
`<log>.head` with the number and hash of the newest line, which shows lines cut off the end.

Fields are typed values of ours: names that were validated, fingerprints, numbers, words from fixed sets. Never a
file name from a view, never a secret, never the raw text of a caller.
"""

from __future__ import annotations

import fcntl
import os
import time

from gateway import plainjson
from gateway.digest import sha256
from gateway.errors import Misconfigured

FIRST_PREV = "0" * 64
_TAIL = 64 * 1024


class AuditLog:
    """Appends to `path`; every record carries `context`. A copy goes to the socket `syslog`, if it is there."""

    def __init__(self, path: str, syslog: str = "", **context: object) -> None:
        self.path = path
        self.syslog = syslog
        self.context = context

    def bound(self, **more: object) -> AuditLog:
        """The same log with more context."""
        return AuditLog(self.path, self.syslog, **{**self.context, **more})

    def write(self, event: str, **fields: object) -> None:
        """Append one record; returns once the kernel has it. Raises Misconfigured when the log cannot be written."""
        record: dict[str, object] = {"seq": 0, "time": _now(), "event": event, **self.context, **fields, "prev": ""}
        try:
            fd = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise Misconfigured("the audit log cannot be opened, so nothing is done", error.strerror) from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            count, record["prev"] = self._newest(fd)
            record["seq"] = count + 1
            line = plainjson.dumps(record, ",", ":").encode()
            if os.write(fd, line + b"\n") != len(line) + 1:
                raise Misconfigured("the audit log is full, so nothing is done")
            self._write_head(count + 1, sha256(line).hexdigest())
        except OSError as error:
            raise Misconfigured("the audit log cannot be written, so nothing is done", error.strerror) from error
        finally:
            os.close(fd)
        if self.syslog:
            _send_to_syslog(self.syslog, line)

    def _newest(self, fd: int) -> tuple[int, str]:
        """Number and hash of the last line. A torn one (power loss, full disk) is closed, not repaired.

        The number is the head's where that is higher: lines cut off the end leave a gap that stays visible.
        """
        size = os.fstat(fd).st_size
        if not size:
            return self._head_count(), FIRST_PREV
        tail = os.pread(fd, _TAIL, max(0, size - _TAIL))
        if not tail.endswith(b"\n"):
            os.write(fd, b"\n")
            tail += b"\n"
        line = tail[:-1].rsplit(b"\n", 1)[-1]
        try:
            count = max(sequence(plainjson.loads(line)), self._head_count())
        except (ValueError, RecursionError):
            count = self._head_count() + 1
        return count, sha256(line).hexdigest()

    def _head_count(self) -> int:
        try:
            with open(self.path + ".head", encoding="ascii") as file:
                return int(file.read().split()[0])
        except (OSError, ValueError, IndexError):
            return 0

    def _write_head(self, count: int, digest: str) -> None:
        fd = os.open(self.path + ".head", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.pwrite(fd, b"%020d %s\n" % (count, digest.encode()), 0)
        finally:
            os.close(fd)


def sequence(record: object) -> int:
    """The number of a record that was read. Raises ValueError for what is no record."""
    number = record.get("seq") if isinstance(record, dict) else None
    if type(number) is not int:
        raise ValueError("not a record")
    return number


def _now() -> str:
    """UTC in RFC 3339 with milliseconds."""
    seconds = time.time()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds * 1000) % 1000:03d}Z"


def _send_to_syslog(path: str, line: bytes) -> None:
    """Best effort: the file is the record, and a host without syslog is a normal host."""
    if not os.path.exists(path):
        return
    import socket

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC) as to:
        try:
            to.sendto(b"<86>enc[%d]: %s" % (os.getpid(), line), path)  # 86: authpriv.info (RFC 3164)
        except OSError:
            return
