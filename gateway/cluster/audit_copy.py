"""The copy of this host's audit log on the shared file system, for the other hosts to read.

It is a log like the one it is made of, with the same closed logs, but without a head file. It is root's, so the
gateway's account cannot change it. It is only appended to: if it was cut, or torn by a crash, what is missing is
appended; if it differs from the log, the difference stays in it, and `audit verify` finds it.
"""

from __future__ import annotations

import contextlib
import os

from gateway.audit import lines, peers, rotation
from gateway.audit.archives import DIGITS, archives, last_number
from gateway.audit.log import sequence
from gateway.audit.verification import Head
from gateway.base import files, json, locks, privileges
from gateway.base.records import Record
from gateway.base.sha256 import sha256
from gateway.cluster import places
from gateway.errors import Misconfigured

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.config.schema import Config

MOST = 4 << 20
"""Bytes that one call copies at most."""
_TAIL_BYTES = 128 << 10
"""Read first from the end of the copy to find its last record."""
_LOCK_SECONDS = 1.0
_LEAST = 64 << 10
"""What closing the copy counts at least, in bytes: so a call closes a few logs, however many lie there."""
_MOST_LOOKS = 100
"""Files that a call looks at and that have the name of a closed log, and nothing of one."""
_NO_NUMBER = 10**DIGITS


def append(config: Config) -> Head | None:
    """Append to the copy what is new in this host's log, at most MOST bytes. Close it where the log was closed, and
    delete closed ones as `audit.keep` says.

    Returns what this host tells the others: the newest record of the copy that is no `peer-head`, so that hosts which
    only note each other's heads come to rest (number 0: none); or None when another process is at it. Raises OSError,
    and Misconfigured when what the copy ends with is no log.
    """
    path = places.audit(config, config.cluster_host)
    with contextlib.suppress(FileExistsError):  # the store is not mounted if more than that is missing
        os.mkdir(os.path.dirname(path), 0o700)
    budget = MOST
    while budget > 0:
        fd = files.open_regular(path, os.O_RDWR | os.O_APPEND | os.O_CREAT)
        try:
            if not (locks.try_acquire(fd) and os.path.samestat(os.fstat(fd), os.stat(path))):
                return None
            closed = archives(path)
            if closed and os.path.samefile(closed[-1], path):  # linked by a call that was killed
                copied, closes = 0, last_number(closed[-1])
            else:
                copied, closes = _append_some(fd, _end(fd, path), config, budget)
            if not closes:
                break
            _close(path, closes, config.audit_keep)
            budget -= max(copied, _LEAST)
        finally:
            os.close(fd)
    return newest(path)


class _End(Record):
    """The end of the copy: the number of its last record, and what follows that (`rest`), which is no whole record.

    `closed` is the number of the last line of the last closed copy, and also the `number` if this one has no record.
    """

    number: int
    closed: int
    rest: bytes


def _end(fd: int, path: str) -> _End:
    size, wanted = os.fstat(fd).st_size, _TAIL_BYTES
    closed = max(map(last_number, archives(path)), default=0)
    while True:
        begin = max(0, size - wanted)
        tail = os.pread(fd, size - begin, begin)
        for start, end in _backwards(tail, is_whole=not begin):
            if number := _number(tail[start:end]):
                return _End(number=number, closed=closed, rest=tail[end + 1 :])
        if not begin:
            return _End(number=closed, closed=closed, rest=tail)
        if wanted > MOST:
            raise Misconfigured(
                f"{path} does not end like a log", "move it away: it is made again from this host's log"
            )
        wanted *= 4


def _backwards(tail: bytes, is_whole: bool) -> Iterator[tuple[int, int]]:
    """Where the complete lines of `tail` begin and end, from the last on. Unless it is whole, the first lacks its
    beginning.
    """
    end = tail.rfind(b"\n")
    while end >= 0:
        start = tail.rfind(b"\n", 0, end) + 1
        if start or is_whole:
            yield start, end
        end = start - 1


def _number(line: bytes) -> int:
    """The number of the record in a line; 0 if it is none, or has one that no log of ours reaches."""
    try:
        number = sequence(json.loads(line))
    except (ValueError, RecursionError):
        return 0
    return number if 0 < number < _NO_NUMBER else 0


def _append_some(fd: int, end: _End, config: Config, most: int) -> tuple[int, int]:
    """Append from the first file of the log that has more than the copy. Returns how many bytes, and the number under
    which the copy is to be closed now; 0 if it goes on.
    """
    source = _source(config.paths_audit, end)
    if not source:
        return 0, 0
    try:
        start = _after(source.fd, source.size, end.number)
        if not start and end.number > end.closed and _number(_line(source.fd, 0)) > end.number + 1:
            return 0, end.number  # rotation has deleted what is between them, before it was copied
        follows = os.pread(source.fd, len(end.rest), start)[: source.size - start]
        start += len(end.rest) if follows == end.rest else 0
        chunk = os.pread(source.fd, min(most, source.size - start), start)
    finally:
        os.close(source.fd)
    whole = chunk[: chunk.rfind(b"\n") + 1]
    if whole:
        is_torn = follows != end.rest and not end.rest.endswith(b"\n")
        _write(fd, b"\n" * is_torn + whole)
    elif len(chunk) >= MOST:
        raise Misconfigured(
            f"{config.paths_audit} has a line of more than {MOST >> 20} MiB", "it is not copied further"
        )
    is_all = source.closed_as and start + len(whole) >= source.size
    return len(whole), source.closed_as if is_all else 0


class _Source(Record):
    """An open file of the log, up to `size`. `closed_as`: the number of its last line if it is a closed log, else 0,
    also if that is not the number in its name, which is the account's word.
    """

    fd: int
    size: int
    closed_as: int


def _source(path: str, end: _End) -> _Source | None:
    """Open the first file of the log that has more than the copy, or that closes it, with the identity of the account:
    what lies there is a stranger's to root. None if there is none, or while a record is being written.
    """
    with privileges.account(*privileges.owner(os.path.dirname(path))):
        try:
            current = files.open_regular(path)  # first, because it may be rotated while the others are looked at
        except FileNotFoundError:
            return None
        try:
            wanted = [one for one in archives(path) if last_number(one) >= max(end.number, end.closed + 1)]
            for closed in wanted[:_MOST_LOOKS]:
                if source := _closed(closed, end):
                    return source
            if len(wanted) > _MOST_LOOKS:
                raise Misconfigured(
                    f"more than {_MOST_LOOKS} files beside {path} only have the name of a closed log",
                    "remove them: it is not copied until then",
                )
            if locks.acquire_within(current, _LOCK_SECONDS):  # else a line might still be taken back
                current, fd = -1, current
                locks.release(fd)
                return _Source(fd=fd, size=os.fstat(fd).st_size, closed_as=0)
        finally:
            if current >= 0:
                os.close(current)
    return None


def _closed(path: str, end: _End) -> _Source | None:
    """A closed log that ends as its name says (after a last line that is torn, the name counts that), or has records
    that the copy lacks; else None. Whoever closes the copy by names alone, and deletes old ones, leaves nothing of it
    when the account makes some empty files.
    """
    fd = files.open_regular(path)
    size = os.fstat(fd).st_size
    begin = max(0, size - _TAIL_BYTES)
    tail = os.pread(fd, size - begin, begin)
    last, rest = 0, tail
    for start, stop in _backwards(tail, is_whole=not begin):
        if last := _number(tail[start:stop]):
            rest = tail[stop + 1 :]
            break
    if last and last + bool(rest) == last_number(path):
        return _Source(fd=fd, size=size, closed_as=last_number(path))
    if last > max(end.number, end.closed):
        return _Source(fd=fd, size=size, closed_as=0)
    os.close(fd)
    return None


_NEAR = 64 << 10
"""Bytes. To find a record, so much is read line by line."""


def _after(fd: int, size: int, number: int) -> int:
    """Where the line after the last record begins whose number is at most `number`; 0 if there is none."""
    low, high = 0, size  # the records before `low` have at most that number, those from `high` on have more
    while high - low > _NEAR:
        middle = (low + high) // 2
        at, end, found = _first_record(fd, middle, high)
        if found and found <= number:
            low = end
        else:
            high = at if found and at > low else middle
    after, at = low, low
    while at < high and (line := _line(fd, at)):
        at += len(line)
        if 0 < _number(line) <= number:
            after = at
    return after


def _first_record(fd: int, begin: int, limit: int) -> tuple[int, int, int]:
    """Where the first record begins and ends that begins after `begin` and before `limit`, and its number; all 0 if
    there is none near.
    """
    text = os.pread(fd, 2 * _NEAR, begin)
    start = text.find(b"\n") + 1
    while start and begin + start < limit and (end := text.find(b"\n", start) + 1):
        if number := _number(text[start:end]):
            return begin + start, begin + end, number
        start = end
    return 0, 0, 0


def _line(fd: int, at: int) -> bytes:
    """The line that begins there, with its end; at most its first 64 KiB."""
    text = os.pread(fd, lines.MAX_LINE, at)
    return text[: text.find(b"\n") + 1] or text


def _write(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]
    os.fdatasync(fd)


def _close(path: str, number: int, keep: int) -> None:
    """Give the copy the name of a closed log. At any moment there is a copy at its path."""
    archive = f"{path}.{number:0{DIGITS}d}"
    if not (os.path.exists(archive) and os.path.samefile(archive, path)):
        os.link(path, archive)
    files.replace(path, b"")
    if keep:
        rotation.remove(archives(path)[:-keep])


def newest(path: str) -> Head:
    """The newest record of the copy that is no `peer-head`, if there is one near the end."""
    found = Head(number=0, hash="")
    for file in (path, *archives(path)[-1:]):
        fd = files.open_regular(file)
        try:
            begin = max(0, os.fstat(fd).st_size - _TAIL_BYTES)
            tail = os.pread(fd, _TAIL_BYTES, begin)
        finally:
            os.close(fd)
        for start, end in _backwards(tail, is_whole=not begin):
            if number := _number(line := tail[start:end]):
                if not peers.is_head(line):
                    return Head(number=number, hash=sha256(line).hexdigest())
                found = found if found.number else Head(number=number, hash=sha256(line).hexdigest())
    return found
