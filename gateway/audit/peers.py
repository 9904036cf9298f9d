"""Check the logs of several hosts against each other: by the heads that each noted of the others, and by their copies.

Each host writes `peer-head` records: the number and hash of another host's newest record. Whoever can write a log and
its copy can recompute the chain of both, but not change what the other hosts noted.
"""

from __future__ import annotations

import os
import time
from itertools import zip_longest

from gateway.audit import lines, query, verification
from gateway.audit.archives import Log, archives, last_number
from gateway.audit.log import FIRST_PREV, sequence
from gateway.audit.verification import Finding, Head, Place, Report
from gateway.base import json
from gateway.base.records import Record
from gateway.identity.names import HostName

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    Heads = dict[str, dict[int, list["Noted"]]]
    """What was noted of each host, by the number of its record."""

EVENT = "peer-head"
LAG = 60.0
"""Seconds that a copy may be behind its log. It is 1 s behind while its host and the store answer."""
HEAD_LAG = 10.0
"""Seconds that a copy may be behind what others noted. Its host tells only of what it has copied."""
_MARK = b'"event":"peer-head"'


class Noted(Record):
    """A record of another host by its `hash`, as the host `by` noted it in its record `at`, at `time` (RFC 3339)."""

    hash: str
    by: str
    at: int
    time: str


class Checked(Record):
    """What was found in the log of a host."""

    host: str
    report: Report

    def with_host(self) -> Checked:
        """The same; each finding says on which host it is."""
        return self.with_findings(self.report.findings)

    def with_findings(self, found: Iterable[Finding]) -> Checked:
        named = tuple(one.replace(host=self.host) for one in found)
        return self.replace(report=self.report.replace(findings=named))


def verify(logs: Sequence[Log], own_copy: Log, known: Iterable[str], quick: bool = False) -> tuple[Checked, ...]:
    """Check the chain of each log, whether it has what the others noted of it, and the first of them, which is this
    host's own, against its copy. A host that is `known`, or of which one noted something, must have a log.

    With `quick`, only the current logs are compared, and closed logs are believed as by `verification.verify`.
    Raises OSError.
    """
    heads = _noted(logs, quick)  # first: the logs have what was noted before they are read
    found = [_checked(log, heads.get(log.host, {}), quick) for log in logs]
    own = found[0]
    found[0] = own.with_findings((*own.report.findings, *_compare_copy(logs[0], own_copy, quick)))
    missing = sorted({*heads, *known} - {log.host for log in logs})
    return (*found, *(Checked(host=host, report=_missing(host)) for host in missing))


def is_head(line: bytes) -> bool:
    """Whether a line of a log is a `peer-head` record, as far as one can see at a glance."""
    return _MARK in line


def findings(checked: Iterable[Checked]) -> list[Finding]:
    return [finding for one in checked for finding in one.report.findings]


def _missing(host: str) -> Report:
    problem = f"there is no copy of its log, and the other hosts know of {host}"
    return Report(lines=0, head="", findings=(Finding(line=0, problem=problem, host=host),))


def _noted(logs: Iterable[Log], quick: bool) -> Heads:
    found: Heads = {}
    for log in logs:
        try:
            for line in _lines(log.path, with_closed=not quick):
                if is_head(line):
                    _note(found, log.host, line)
        except FileNotFoundError:  # nothing is recorded yet
            continue
    return found


def _note(found: Heads, by: str, line: bytes) -> None:
    """Lines that are not what we write count as nothing: the chain's check reports them."""
    event = query.parse(line)
    peer, number = (event.detail("peer"), event.detail("peer_seq")) if event else ("", "")
    is_number = number.isascii() and number.isdecimal() and len(number) < 20
    if event and event.event == EVENT and peer != by and HostName.accepts(peer) and is_number:
        one = Noted(hash=event.detail("peer_hash"), by=by, at=event.seq, time=event.time)
        found.setdefault(peer, {}).setdefault(int(number), []).append(one)


def _checked(log: Log, heads: dict[int, list[Noted]], quick: bool) -> Checked:
    comparison = _Comparison(heads)
    report = Report(lines=0, head=FIRST_PREV, findings=())
    if os.path.lexists(log.path):  # else nothing is recorded yet
        report = verification.verify(log.path, quick, log.is_copy, comparison.compare)
    found = (*report.findings, *comparison.findings(log, report))
    return Checked(host=log.host, report=report).with_findings(found)


class _Comparison:
    """Compares the records of a log with what was noted of them."""

    def __init__(self, heads: dict[int, list[Noted]]) -> None:
        self._heads = heads
        self._agreed = 0
        self._differing: tuple[int, Noted, Place] | None = None
        self._place = Place(line=0)

    def compare(self, head: Head, place: Place) -> None:
        self._place = place
        for one in () if self._differing else self._heads.get(head.number, ()):
            if one.hash == head.hash:
                self._agreed = head.number
            else:
                self._differing = head.number, one, place

    def findings(self, log: Log, report: Report) -> Iterator[Finding]:
        if self._differing:
            number, one, place = self._differing
            since = f"a record between {self._agreed + 1} and" if self._agreed + 1 < number else "record"
            problem = (
                f"record {number} is not the one that {one.by} noted in its record {one.at}: the log was rewritten, "
                f"from {since} {number} on"
            )
            yield Finding(**place.as_dict(), problem=problem)
        beyond = [
            (number, one)
            for number, noted in self._heads.items()
            for one in noted
            if number > report.last and not (log.is_copy and _is_recent(one.time, HEAD_LAG))
        ]
        if beyond:
            number, one = max(beyond, key=lambda each: each[0])
            problem = (
                f"the log ends with record {report.last}, but {one.by} noted record {number} in its record {one.at}: "
                f"its end was cut off, from record {report.last + 1} on"
            )
            yield Finding(**self._place.as_dict(), problem=problem)


def _is_recent(moment: str, seconds: float) -> bool:
    return time.time() - query.moment(moment) <= seconds


def _compare_copy(log: Log, copy: Log, quick: bool) -> Iterator[Finding]:
    """The copy is looked at first, so that it has nothing that the log lacks."""
    last = _last_record(copy)
    first = _first_record(log.path, with_closed=not quick)
    begins = _first_record(copy.path, with_closed=not quick)
    if not first:
        if last:
            yield Finding(line=0, problem=f"the log is empty, but its copy has {last} records: they were removed")
        return
    if not last and not begins and not _is_recent(_time_of(log, first), LAG):
        yield Finding(line=0, problem=f"there is no copy of it in {os.path.dirname(copy.path)}")
        return
    if not quick and begins > first:
        yield Finding(line=0, problem=f"its copy begins with record {begins}: it lacks records {first} to {begins - 1}")
    start = max(first, begins)
    at = start - 1
    for ours, theirs in zip_longest(_from(log, start), _from(copy, start)):
        number = (ours or theirs or (0, b""))[0]
        if ours is None:
            if number <= last:
                problem = f"the log ends with record {at}, but its copy with {last}: the log's end was cut off"
                yield Finding(line=0, problem=f"{problem}, from record {at + 1} on")
            return
        if theirs is None:
            event = query.parse(ours[1])
            if event and not _is_recent(event.time, LAG):
                problem = f"its copy ends with record {at}: it lacks what was written since {event.time}"
                yield Finding(line=0, problem=problem)
            return
        if ours[1] != theirs[1]:
            problem = f"the log and its copy differ from record {number} on: one of the two was changed"
            yield Finding(line=0, problem=problem)
            return
        at = number


def _time_of(log: Log, number: int) -> str:
    event = next((query.parse(line) for _, line in _from(log, number)), None)
    return event.time if event else ""


def _from(log: Log, number: int) -> Iterator[tuple[int, bytes]]:
    """The lines from that record on, each with the number of the record, or of the newest before it; none if the log
    is missing.
    """
    at = 0
    try:
        for line in _lines(log.path, True, number, is_whole=not log.is_copy):
            at = _number(line) or at
            if at >= number:
                yield at, line
    except FileNotFoundError:
        return


def _first_record(path: str, with_closed: bool) -> int:
    """The number of the first record; 0 for none."""
    try:
        return next(filter(None, map(_number, _lines(path, with_closed))), 0)
    except FileNotFoundError:
        return 0


def _last_record(log: Log) -> int:
    number = 0
    try:
        with lines.open_log(log.path) as file:
            for line in lines.ended(file):
                number = _number(line) or number
    except FileNotFoundError:
        return 0
    return number or max(map(last_number, archives(log.path)), default=0)


def _number(line: bytes) -> int:
    try:
        return sequence(json.loads(line))
    except (ValueError, RecursionError):
        return 0


def _lines(path: str, with_closed: bool, number: int = 0, is_whole: bool = True) -> Iterator[bytes]:
    """The lines of a log and of its closed logs that end with record `number` or later. Raises OSError.

    The current log is opened first, because it may be rotated while the older ones are read.
    """
    with lines.open_log(path) as current:
        for archive in archives(path) if with_closed else ():
            if last_number(archive) < number:
                continue
            try:
                with lines.open_log(archive) as file:
                    if not os.path.samestat(os.fstat(file.fileno()), os.fstat(current.fileno())):
                        yield from lines.of(file)
            except FileNotFoundError:  # deleted by a rotation meanwhile
                continue
        yield from lines.of(current) if is_whole else lines.ended(current)
