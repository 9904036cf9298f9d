"""The audit log: the only module that writes it.

One JSON object a line. `seq` counts from 1, `prev` is the SHA-256 of the bytes of the line before (64 zeros for the
first), so a changed, removed or inserted line breaks the chain (`gateway.audit.verification`). Beside the log lies
`<log>.head` with the number and hash of the newest line, which shows lines cut off the end. A rotated log is
`<log>.<number of its last line>`; the first line of the next one goes on with its chain.

Fields are typed values of ours: names that were validated, fingerprints, numbers, words from fixed sets. Never a
file name from a view, never a secret, never the raw text of a caller.
"""

from __future__ import annotations

import errno
import os
import time

from gateway.base import json, locks
from gateway.base.sha256 import sha256
from gateway.base.signals import SignalsBlocked
from gateway.errors import Misconfigured

FIRST_PREV = "0" * 64
_TAIL = 64 * 1024
_DIGITS = 12
"""Of the number in a rotated log's name, so that names sort as numbers."""


class AuditLog:
    """Appends to `path`; every record carries `context`. A copy goes to the socket `syslog`, if it is there.

    Unless it is `required`, a record that cannot be written goes to syslog alone, and nothing is raised.
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
        """Whether the log's disk has `reserve` bytes left for us. True where that cannot be told: writing will tell."""
        try:
            found = os.statvfs(os.path.dirname(self.path))
        except OSError:
            return True
        return found.f_bavail * found.f_frsize >= reserve

    def write(self, event: str, **fields: object) -> None:
        """Append one record; returns once the kernel has it. Raises Misconfigured when the log cannot be written."""
        record: dict[str, object] = {"seq": 0, "time": _now(), "event": event, **self.context, **fields, "prev": ""}
        try:
            with SignalsBlocked():  # a line without its head would look like one that was cut off
                line = self._append(record)
        except Misconfigured:
            if self.required:
                raise
            line = json.dumps(record, ",", ":").encode()
        if self.syslog:
            _send_to_syslog(self.syslog, line)

    def _append(self, record: dict[str, object]) -> bytes:
        fd = self._open()
        try:
            count, record["prev"] = self._newest(fd)
            record["seq"] = count + 1
            line = json.dumps(record, ",", ":").encode()
            self._put(fd, line, count + 1)
            return line
        except OSError as error:
            raise Misconfigured("the audit log cannot be written, so nothing is done", error.strerror) from error
        finally:
            os.close(fd)

    def _open(self) -> int:
        """The log, locked. Raises Misconfigured."""
        while True:
            try:
                fd = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            except OSError as error:
                raise Misconfigured("the audit log cannot be opened, so nothing is done", error.strerror) from error
            locks.acquire(fd)
            if self._is_at_path(fd):
                self._give_away(fd)
                return fd
            os.close(fd)  # rotated while we waited

    def _give_away(self, fd: int) -> None:
        """What root makes here is the gateway's account's, as the directory is: else nobody could log in any more."""
        owner = os.stat(os.path.dirname(self.path)) if os.geteuid() == 0 else None
        if owner and owner.st_uid != 0:
            os.fchown(fd, owner.st_uid, owner.st_gid)

    def _is_at_path(self, fd: int) -> bool:
        try:
            return os.path.samestat(os.fstat(fd), os.stat(self.path, follow_symlinks=False))
        except FileNotFoundError:
            return False

    def _put(self, fd: int, line: bytes, count: int) -> None:
        """The line and the head, or neither of them: what a full disk took of a line is taken back."""
        size = os.fstat(fd).st_size
        try:
            if os.write(fd, line + b"\n") != len(line) + 1:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self._write_head(count, sha256(line).hexdigest())
        except OSError:
            os.ftruncate(fd, size)
            raise

    def rotate(self, keep: int) -> str:
        """Close the log under another name, and begin one whose first record names it and goes on with the chain.

        Of the closed ones `keep` are kept (0: all), and the record says up to which number the others went. There is
        no moment without a log. Returns the new name, "" when there was nothing to rotate. Raises Misconfigured.
        """
        fd = self._open()
        try:
            if not os.fstat(fd).st_size:
                return ""
            count, prev = self._newest(fd)
            closed = f"{self.path}.{count:0{_DIGITS}d}"
            surplus = [*archives(self.path), closed][:-keep] if keep else []
            dropped = max((_last_of(path) for path in surplus), default=0)
            about = {"previous": os.path.basename(closed), "dropped": dropped}
            record = {"seq": count + 1, "time": _now(), "event": "rotated", **self.context, **about, "prev": prev}
            line = json.dumps(record, ",", ":").encode()
            _begin(self.path + ".next", line, os.fstat(fd))
            if not (os.path.exists(closed) and os.path.samefile(closed, self.path)):  # a rotation that was killed
                os.link(self.path, closed)
            os.rename(self.path + ".next", self.path)
            self._write_head(count + 1, sha256(line).hexdigest())
        except OSError as error:
            raise Misconfigured("the audit log cannot be rotated", error.strerror) from error
        finally:
            os.close(fd)
        if self.syslog:
            _send_to_syslog(self.syslog, line)
        for path in surplus:
            os.unlink(path)
        return closed

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
            count = max(sequence(json.loads(line)), self._head_count())
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
            self._give_away(fd)
            os.pwrite(fd, b"%020d %s\n" % (count, digest.encode()), 0)
        finally:
            os.close(fd)


def archives(path: str) -> list[str]:
    """The rotated logs of the log `path`, oldest first: each has the number of its last record behind its name."""
    directory, name = os.path.split(path)
    rest = ((entry, entry.removeprefix(name + ".")) for entry in os.listdir(directory) if entry.startswith(name + "."))
    return sorted(
        os.path.join(directory, entry) for entry, number in rest if len(number) == _DIGITS and number.isdecimal()
    )


def _last_of(archive: str) -> int:
    return int(archive[-_DIGITS:])


def _begin(path: str, line: bytes, like: os.stat_result) -> None:
    """A log with one line, owned and readable as the one that it follows."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        os.fchown(fd, like.st_uid, like.st_gid)
        os.write(fd, line + b"\n")
        os.fsync(fd)
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
