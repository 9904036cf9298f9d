"""Check the audit log, rotated logs included: is every line there, unchanged and in its place?"""

from __future__ import annotations

import os

from gateway.audit import lines, sums
from gateway.audit.archives import archives, last_number
from gateway.audit.log import FIRST_PREV, HEAD_BYTES, sequence
from gateway.base import files, json
from gateway.base.records import Record
from gateway.base.sha256 import sha256

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, BinaryIO

    Each = Callable[["Head", "Place"], None]
    """Called with each record that is read, and with the last one of a closed log that is not."""


class Place(Record):
    """`line` (counted from 1; 0: no certain one) of a rotated log, or of the current log (`file` is ""), of a `host` in
    a cluster.
    """

    line: int
    file: str = ""
    host: str = ""

    def place(self) -> str:
        of_file, on_host = f" of {self.file}" if self.file else "", f" on {self.host}" if self.host else ""
        return f"{f'line {self.line}' if self.line else 'the log'}{of_file}{on_host}"


class Finding(Place):
    """A problem at a place."""

    problem: str

    def fields(self) -> dict[str, Any]:
        return {name: value for name, value in self.as_dict().items() if name != "host" or value}


class Report(Record):
    """`lines`: how many were checked. `head`: the hash of the last one, and `last` its number, to be noted outside this
    host. `first`: the number of the first record, which is more than 1 when rotation deleted older logs. `unread`: how
    many of the lines are in closed logs that were not read, but taken from their sums.
    """

    lines: int
    head: str
    findings: tuple[Finding, ...]
    first: int = 1
    last: int = 0
    unread: int = 0


class Head(Record):
    """A line, by its number and hash, as an earlier verification printed it."""

    number: int
    hash: str


def verify(path: str, quick: bool = False, is_copy: bool = False, each: Each | None = None) -> Report:
    """Check the chain of the log at `path` and its closed logs, and its head file unless it `is_copy`
    (gateway.audit.archives.Log). Raises OSError when it cannot be read.

    A line that is empty or not a record is a finding: a power loss or a full disk leaves one, and so does tampering.
    With `quick`, closed logs that have sums are not read: a change that left the file's size and times, or also
    changed its sums, is not found.
    """
    chain = _Chain(each)
    with lines.open_log(path) as current:  # first, because it may be rotated while the older ones are read
        for archive in archives(path):
            if os.path.samestat(os.stat(archive, follow_symlinks=False), os.fstat(current.fileno())):
                continue
            name = os.path.basename(archive)
            noted = sums.read(archive) if quick else None
            if noted and noted.chain:
                chain.skip(noted.chain, name)
            else:
                chain.read(archive, name)
        chain.read_open(current, "", is_whole=not is_copy)
    return _report(chain, "" if is_copy else path)


def _name(file: str, log: str) -> str:
    return "" if file == log else os.path.basename(file)


def verify_after(path: str, head: Head, is_copy: bool = False) -> Report:
    """Check that the line `head` is there unchanged, and the chain of all lines after it. Raises OSError.

    Lines before it are not checked, and closed logs that end before it are not opened. Who noted `head` where nobody
    who writes the log can change it has checked all lines after it, also against somebody who recomputes the chain.
    """
    chain = _Chain()
    first, *rest = [*(one for one in archives(path) if last_number(one) >= head.number), path]
    if not chain.read_after(head, first, _name(first, path)):
        problem = f"no line is number {head.number} with that hash: it was changed, removed or deleted by rotation"
        missing = Finding(line=chain.line, problem=problem, file=_name(first, path))
        return Report(lines=0, head=chain.prev, findings=(missing,))
    for file in rest:
        chain.read(file, _name(file, path))
    return _report(chain, "" if is_copy else path)


def chain_of(path: str) -> sums.Chain | None:
    """What a closed log contributes to the chain; None if it is empty, or if not every line follows the one before."""
    chain = _Chain()
    chain.read(path, "")
    if chain.has_gap or not chain.count:
        return None
    return sums.Chain(
        lines=chain.count,
        first=chain.first,
        last=chain.seq,
        prev=chain.first_prev,
        head=chain.prev,
        dropped=chain.dropped,
    )


def _report(chain: _Chain, path: str) -> Report:
    """`path` of a log that has a head file, else ""."""
    findings = chain.findings()
    if path and (problem := _check_head(path + ".head", chain.prev_before, chain.prev, chain.count)):
        findings.append(Finding(line=chain.line, problem=problem))
    return Report(
        lines=chain.count,
        head=chain.prev,
        findings=tuple(findings),
        first=chain.first,
        last=chain.seq,
        unread=chain.unread,
    )


class _Chain:
    """What is known after the lines read so far: the last number, the last two hashes, and the findings."""

    def __init__(self, each: Each | None = None) -> None:
        self._each = each
        self.count, self.line, self.seq, self.first, self.dropped, self.unread = 0, 0, 0, 1, 0, 0
        self.prev_before = self.prev = self.first_prev = FIRST_PREV
        self._found: list[Finding] = []
        self._first_finding: Finding | None = None

    @property
    def has_gap(self) -> bool:
        """Whether a line does not follow the one before it. Before the first line read, there is none."""
        return bool(self._found)

    def read(self, path: str, name: str) -> None:
        with lines.open_log(path) as file:
            self.read_open(file, name)

    def read_open(self, file: BinaryIO, name: str, is_whole: bool = True) -> None:
        """If it may not be whole, a last line without its end is left out."""
        self.line = 0
        for self.line, line in enumerate(lines.of(file) if is_whole else lines.ended(file), 1):
            self._add(line, name)

    def read_after(self, head: Head, path: str, name: str) -> bool:
        """As `read`, from the line `head` on. Returns False if that is not there."""
        with lines.open_log(path) as file:
            for self.line, line in enumerate(lines.of(file), 1):
                if self.count:
                    self._add(line, name)
                elif sha256(line).hexdigest() == head.hash and (record := _check(line, "", 0)[1]):
                    if sequence(record) != head.number:
                        return False
                    self.count, self.seq, self.first = 1, head.number, head.number
                    self.prev_before, self.prev = str(record["prev"]), head.hash
        return bool(self.count)

    def skip(self, noted: sums.Chain, name: str) -> None:
        """Take a closed log from its sums: as `read`, if nothing is wrong within it."""
        self.line = 1
        self._note(_link_problem(noted.prev, noted.first, self.prev, self.seq), noted.first, name, self.count == 0)
        self.count += noted.lines
        self.unread += noted.lines
        self.line, self.seq, self.dropped = noted.lines, noted.last, max(self.dropped, noted.dropped)
        self.prev_before = self.prev = noted.head
        self._tell(name)

    def _add(self, line: bytes, name: str) -> None:
        self.count += 1
        problem, record = _check(line, self.prev, self.seq)
        self.seq = sequence(record) if record else self.seq + 1
        if record and record.get("event") == "rotated" and type(record.get("dropped")) is int:
            self.dropped = max(self.dropped, record["dropped"])
        if self.count == 1 and record:
            self.first_prev = str(record["prev"])
        self._note(problem, self.seq, name, self.count == 1 and bool(record))
        self.prev_before, self.prev = self.prev, sha256(line).hexdigest()
        if record:
            self._tell(name)

    def _tell(self, name: str) -> None:
        if self._each:
            self._each(Head(number=self.seq, hash=self.prev), Place(line=self.line, file=name))

    def _note(self, problem: str, number: int, name: str, may_be_first: bool) -> None:
        if not problem:
            return
        finding = Finding(line=self.line, problem=problem, file=name)
        if may_be_first:
            self._first_finding, self.first = finding, number
        else:
            self._found.append(finding)

    def findings(self) -> list[Finding]:
        """A log may begin in the middle of the chain when rotation recorded that it deleted what was before."""
        if self._first_finding is None or 1 < self.first <= self.dropped + 1:
            return self._found
        return [self._first_finding, *self._found]


def _check(line: bytes, prev: str, seq: int) -> tuple[str, dict[str, Any]]:
    """The problem with `line` ("" for none), and its record ({} when it is not a record)."""
    try:
        record = json.loads(line)
        number, claimed = sequence(record), record["prev"]
    except (ValueError, KeyError, RecursionError):
        return "not a record (torn by a power loss or a full disk, or overwritten)", {}
    return _link_problem(claimed, number, prev, seq), record


def _link_problem(claimed: object, number: int, prev: str, seq: int) -> str:
    """The problem with a line that claims to follow the line with the hash `prev` and the number `seq`; "" for none."""
    if claimed != prev:
        return "does not follow the line before it: one of the two was changed, removed or inserted"
    if number != seq + 1:
        return f"is number {number}, expected {seq + 1}"
    return ""


def _check_head(path: str, prev_before: str, prev: str, lines: int) -> str:
    """The problem with the head file; "" for none. It names the last line, or, when a crash came between the two
    writes, the line before.
    """
    try:
        last, digest = files.read(path, HEAD_BYTES).decode("ascii").split()
        number = int(last)
    except FileNotFoundError:
        return "the head file is missing" if lines else ""
    except (OSError, ValueError):
        return "the head file cannot be read"
    if digest in (prev_before, prev):
        return ""
    return f"the log does not end where its head file says (line {number}): lines were cut off or added"
