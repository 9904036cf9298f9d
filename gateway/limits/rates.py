"""Limit how many requests and connections a principal makes in a minute, and count what is beyond that.

Each principal has a small file: the counts of the current minute, and the connections that it knows by a hash.
Further channels of a known connection are no new connection. sshd has limits of its own, but does not know principals.

Each request that is refused or recorded makes the audit log grow, so beyond the limit that is bounded too: of the
refusals in a minute the first is recorded, the others are counted. Whoever finds that a minute with such a count is
over tells the audit before forgetting the count: the principal's next request, or `sweep`.
"""

from __future__ import annotations

import os
import time

from gateway.base import clock, locks
from gateway.base.records import Record
from gateway.base.sha256 import sha256
from gateway.errors import Busy, Misconfigured, Usage
from gateway.identity.names import Principal
from gateway.limits import concurrency

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Tell = Callable[[Principal, dict[str, object]], None]

LISTED, UNLISTED, INVITED, UNCONFIGURED = "rates", "rates-unlisted", "rates-invited", "rates-unconfigured"
"""Whose requests: of keys that are authorized, of keys that no longer are, of invitations, and of anybody while
gateway.toml is wrong. They count apart, so that nobody who may do nothing uses up what a principal may do. Each is the
name of a directory in the run directory.
"""
_KINDS = (LISTED, UNLISTED, INVITED, UNCONFIGURED)

WINDOW_SECONDS = 60
RECORDED_BEYOND = 60
"""Of the requests beyond the limit that pass, so many in a minute are recorded, and the others counted."""
_KNOWN = 512
"""Connections of earlier minutes that are remembered."""
_PATIENCE_SECONDS = 1.0
"""A lock is held for less than a millisecond."""

_FIELDS = ("version", "began", "requests", "beyond", "passed", "refused", "logins", "known")
_VERSION = 1
_DIGITS = 10
_HEADER_BYTES = len(_FIELDS) * (_DIGITS + 1)
_NAME_BYTES = 17
"""A connection's 16 digits and the line end."""
_MAX_BYTES = 1 << 20
"""Read of a file: about 60,000 connections."""


class Counts(Record):
    """The counts of the minute that `began` (seconds since boot).

    `requests` are those within the limit. Beyond it, `beyond` were let through and recorded, `passed` let through and
    not recorded, `refused` refused. Of the connections in the file the first `known` are of earlier minutes, and the
    `logins` after them of this one.
    """

    version: int = _VERSION
    began: int = 0
    requests: int = 0
    beyond: int = 0
    passed: int = 0
    refused: int = 0
    logins: int = 0
    known: int = 0

    @property
    def is_over(self) -> bool:
        """Also after a reboot, which resets the clock."""
        return not 0 <= int(clock.boottime()) - self.began < WINDOW_SECONDS

    @property
    def unrecorded(self) -> int:
        """How many requests have no record of their own. The first refusal has one."""
        return max(0, self.refused - 1) + self.passed


class Ruling(Record):
    """Whether a request gets records of its own, and the error for the caller if it is refused."""

    is_recorded: bool
    refusal: Busy | None = None


def admit(
    run: str,
    principal: Principal,
    requests: int,
    logins: int,
    tell: Tell,
    connection: str = "",
    always: bool = False,
    kind: str = LISTED,
) -> Ruling:
    """Count one request, and rule on it. `requests` and `logins` are the limits in a minute (0: none).

    `connection` is the client's address and port ("": that of the prompt, which was counted). A request that has to
    pass `always` is not refused. `tell` writes the fields of a `throttled` record to the audit.

    Raises Misconfigured if it cannot be counted, and what `tell` raises; then nothing is counted or forgotten.
    """
    if not requests and not logins:
        return Ruling(is_recorded=True)
    fd = _open_locked(run, kind, principal)
    try:
        counts, connections = _read(fd)
        if counts.is_over:
            _tell(tell, principal, kind, counts)
            counts = _begin(fd, counts, connections)
        name = sha256(connection.encode()).hexdigest()[: _NAME_BYTES - 1].encode() + b"\n" if connection else b""
        is_new = bool(logins and name) and name not in connections
        noun, limit = ("requests", requests) if not is_new or counts.logins < logins else ("logins", logins)
        if noun == "requests" and (not requests or counts.requests < requests):
            if is_new:
                os.pwrite(fd, name, _HEADER_BYTES + _NAME_BYTES * (counts.known + counts.logins))
            _write(fd, counts.replace(requests=counts.requests + 1, logins=counts.logins + is_new))
            return Ruling(is_recorded=True)
        return _beyond(fd, counts, noun, limit, always)
    except OSError as error:
        raise Misconfigured("the gateway cannot write its run directory", error.strerror) from error
    finally:
        os.close(fd)


def _beyond(fd: int, counts: Counts, noun: str, limit: int, always: bool) -> Ruling:
    if not always:
        _write(fd, counts.replace(refused=counts.refused + 1))
        what = f"connected {limit} times" if noun == "logins" else f"made {limit} requests"
        wait = WINDOW_SECONDS - (int(clock.boottime()) - counts.began)
        refusal = Busy(f"you {what} within a minute, which is the limit", f"wait {max(1, wait)} s")
        return Ruling(is_recorded=not counts.refused, refusal=refusal)
    is_recorded = counts.beyond < RECORDED_BEYOND
    _write(fd, counts.replace(beyond=counts.beyond + is_recorded, passed=counts.passed + (not is_recorded)))
    return Ruling(is_recorded=is_recorded)


def sweep(run: str, tell: Tell) -> int:
    """Tell the audit of counts whose minute is over, and remove the files of principals who made no request in the
    last minute; how many. What cannot be read or told, or is being used, is left.
    """
    return sum(_sweep(run, kind, name, tell) for kind in _KINDS for name in _names(os.path.join(run, kind)))


def _sweep(run: str, kind: str, name: str, tell: Tell) -> bool:
    try:
        principal = Principal.of_directory(name)
        fd = _open_locked(run, kind, principal)
    except (Usage, Misconfigured):
        return False
    try:
        counts = _read(fd)[0]
        if not counts.is_over:
            return False
        _tell(tell, principal, kind, counts)
        os.unlink(os.path.join(run, kind, name))
        return True
    except (OSError, Misconfigured):
        return False
    finally:
        os.close(fd)


def _names(directory: str) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except OSError:
        return []


def _tell(tell: Tell, principal: Principal, kind: str, counts: Counts) -> None:
    if counts.unrecorded:
        since = clock.utc(time.time() - (clock.boottime() - counts.began))
        of = {} if kind == LISTED else {"callers": kind.removeprefix("rates-")}
        tell(principal, {"refused": counts.refused, "passed": counts.passed, "since": since, **of})


def _open_locked(run: str, kind: str, principal: Principal) -> int:
    """Open a principal's file, made if it is missing, and lock it until it is closed. Raises Misconfigured."""
    deadline = clock.boottime() + _PATIENCE_SECONDS
    while clock.boottime() < deadline:
        fd = concurrency.open_shared(run, kind, principal.directory)
        if locks.try_acquire(fd) and os.fstat(fd).st_nlink:  # else it was swept meanwhile
            return fd
        os.close(fd)
        time.sleep(0.002)
    raise Misconfigured("your requests cannot be counted: a process holds that file", "tell your sysadmin")


def _read(fd: int) -> tuple[Counts, bytes]:
    """The counts, and the connections. A file that is not ours to understand is as a new one."""
    content = os.pread(fd, _MAX_BYTES, 0)
    header, rest = content[:_HEADER_BYTES], content[_HEADER_BYTES:]
    words = header.split()
    if len(header) == _HEADER_BYTES and len(words) == len(_FIELDS) and all(map(bytes.isdigit, words)):
        counts = Counts(**dict(zip(_FIELDS, map(int, words), strict=True)))
        if counts.version == _VERSION:
            return counts, rest[: _NAME_BYTES * (counts.known + counts.logins)]
    return Counts(began=-WINDOW_SECONDS), b""


def _begin(fd: int, last: Counts, connections: bytes) -> Counts:
    """Begin a minute; the newest connections stay known. The file is not emptied first: on a full disk it would stay
    empty.
    """
    known = connections[-_NAME_BYTES * _KNOWN :]
    counts = Counts(began=int(clock.boottime()), known=len(known) // _NAME_BYTES)
    os.pwrite(fd, _header(counts) + known, 0)
    os.ftruncate(fd, _HEADER_BYTES + len(known))
    return counts


def _write(fd: int, counts: Counts) -> None:
    os.pwrite(fd, _header(counts), 0)


def _header(counts: Counts) -> bytes:
    numbers = (min(int(counts.as_dict()[name]), 10**_DIGITS - 1) for name in _FIELDS)
    return " ".join(f"{number:0{_DIGITS}d}" for number in numbers).encode() + b"\n"
