"""The audit log. Only this module and `gateway.audit.rotation` write it.

The log has one JSON object a line. `seq` counts from 1. `prev` is the SHA-256 of the bytes of the line before (64 zeros
in the first line), so a changed, removed or inserted line breaks the chain (`gateway.audit.verification`). `<log>.head`
has the number and the hash of the newest line, which reveals lines that were cut off the end. A rotated log is named
`<log>.<number of its last line>`, and the first line of the next log continues the chain.

Fields are typed values of ours: validated names, fingerprints, numbers, words from fixed sets. A record never has a
file name from a view, a secret, or the raw text of a caller.
"""

from __future__ import annotations

import errno
import os
import time

from gateway.base import files, json, locks
from gateway.base.sha256 import sha256
from gateway.base.signals import SignalsBlocked
from gateway.errors import Misconfigured

FIRST_PREV = "0" * 64
HEAD_BYTES = 4096
"""Read of a head file: more than it has."""
_TAIL_BYTES = 64 * 1024
"""Read from the end of the log to find its last line: more than a line has."""


class AuditLog:
    """Appends records to `path`. Every record has the fields of `context`.

    The datagram socket `syslog` gets a copy of each record if it is there. When a record cannot be written and is
    not `required`, it goes to syslog only, and nothing is raised.
    """

    def __init__(self, path: str, syslog: str = "", required: bool = True, **context: object) -> None:
        self.path = path
        self.syslog = syslog
        self.required = required
        self.context = context

    def bound(self, **more: object) -> AuditLog:
        """The same log with more context."""
        return AuditLog(self.path, self.syslog, self.required, **{**self.context, **more})

    def has_room(self, reserve: int) -> bool:
        """Whether the log's disk has `reserve` bytes free for us. True when statvfs fails: the write will tell."""
        try:
            found = os.statvfs(os.path.dirname(self.path))
        except OSError:
            return True
        return found.f_bavail * found.f_frsize >= reserve

    def write(self, event: str, **fields: object) -> None:
        """Append one record and return once the kernel has it. Raises Misconfigured when the log cannot be written."""
        record = self.record(event, fields)
        try:
            with SignalsBlocked():  # an interrupted append leaves the head behind, which verify would report
                line = self._append(record)
        except Misconfigured:
            if self.required:
                raise
            line = encoded(record)
        self.copy_to_syslog(line)

    def record(self, event: str, fields: dict[str, object]) -> dict[str, object]:
        """A record of now. `seq` and `prev` are set once its place in the chain is known."""
        return {"seq": 0, "time": _now(), "event": event, **self.context, **fields, "prev": ""}

    def _append(self, record: dict[str, object]) -> bytes:
        fd = self.open_locked()
        try:
            count, record["prev"] = self.newest(fd)
            record["seq"] = count + 1
            line = encoded(record)
            self._write_line(fd, line, count + 1)
            return line
        except OSError as error:
            raise Misconfigured("the audit log cannot be written, so requests are refused", error.strerror) from error
        finally:
            os.close(fd)

    def open_locked(self) -> int:
        """Open the log, made if it is missing, and lock it until the descriptor is closed. Raises Misconfigured."""
        while True:
            try:
                fd = files.open_regular(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT)
            except OSError as error:
                raise Misconfigured(
                    "the audit log cannot be opened, so requests are refused", error.strerror
                ) from error
            locks.acquire(fd)
            if self._is_at_path(fd):
                self._chown_like_directory(fd)
                return fd
            os.close(fd)  # rotated while we waited

    def _chown_like_directory(self, fd: int) -> None:
        """Give a file that root makes to the owner of its directory: else the gateway's account could not append to
        it, and nobody could log in.
        """
        owner = os.stat(os.path.dirname(self.path)) if os.geteuid() == 0 else None
        if owner and owner.st_uid != 0:
            os.fchown(fd, owner.st_uid, owner.st_gid)

    def _is_at_path(self, fd: int) -> bool:
        try:
            return os.path.samestat(os.fstat(fd), os.stat(self.path, follow_symlinks=False))
        except FileNotFoundError:
            return False

    def _write_line(self, fd: int, line: bytes, count: int) -> None:
        """Write the line and the head, or neither: a partial line on a full disk is truncated away."""
        size = os.fstat(fd).st_size
        try:
            if os.write(fd, line + b"\n") != len(line) + 1:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self.write_head(count, line)
        except OSError:
            os.ftruncate(fd, size)
            raise

    def newest(self, fd: int) -> tuple[int, str]:
        """Number and hash of the last line. A torn one (power loss, full disk) gets its line end, and stays a finding.

        The number is the head's where that is higher: lines cut off the end leave a gap that stays visible.
        """
        size = os.fstat(fd).st_size
        if not size:
            return self._head_count(), FIRST_PREV
        tail = os.pread(fd, _TAIL_BYTES, max(0, size - _TAIL_BYTES))
        if not tail.endswith(b"\n"):
            os.write(fd, b"\n")
            tail += b"\n"
        line = tail[:-1].rsplit(b"\n", 1)[-1]
        try:
            count = max(sequence(json.loads(line)), self._head_count())
        except (ValueError, RecursionError):
            count = self._head_count() + 1
        return count, sha256(line).hexdigest()

    def _head_count(self) -> int:
        try:
            return int(files.read(self.path + ".head", HEAD_BYTES).decode("ascii").split()[0])
        except (OSError, ValueError, IndexError):
            return 0

    def write_head(self, count: int, line: bytes) -> None:
        """Note `line`, which has the number `count`, as the newest. Raises OSError."""
        fd = files.open_regular(self.path + ".head", os.O_WRONLY | os.O_CREAT)
        try:
            self._chown_like_directory(fd)
            os.pwrite(fd, b"%020d %s\n" % (count, sha256(line).hexdigest().encode()), 0)
        finally:
            os.close(fd)

    def copy_to_syslog(self, line: bytes) -> None:
        """Best effort: the file is the record, and many hosts have no syslog."""
        if not self.syslog or not os.path.exists(self.syslog):
            return
        import socket

        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC) as to:
            try:
                to.sendto(b"<86>enc[%d]: %s" % (os.getpid(), line), self.syslog)  # 86: authpriv.info (RFC 3164)
            except OSError:
                return


def encoded(record: dict[str, object]) -> bytes:
    """The record's line, without its line end."""
    return json.dumps(record, ",", ":").encode()


def sequence(record: object) -> int:
    """The number of a record that was read. Raises ValueError when it is not a record."""
    number = record.get("seq") if isinstance(record, dict) else None
    if type(number) is not int:
        raise ValueError("not a record")
    return number


def _now() -> str:
    """UTC in RFC 3339 with milliseconds."""
    seconds = time.time()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds * 1000) % 1000:03d}Z"
