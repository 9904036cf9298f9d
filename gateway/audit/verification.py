"""Check the audit log, rotated logs included: is every line there, unchanged and in its place?"""

from __future__ import annotations

import os

from gateway.audit import lines
from gateway.audit.log import FIRST_PREV, HEAD_BYTES, sequence
from gateway.audit.rotation import archives
from gateway.base import files, json
from gateway.base.records import Record
from gateway.base.sha256 import sha256

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Finding(Record):
    """A problem at `line` (counted from 1) of a rotated log, or of the current log (`file` is "")."""

    line: int
    problem: str
    file: str = ""

    def place(self) -> str:
        return f"line {self.line}{f' of {self.file}' if self.file else ''}"


class Report(Record):
    """`lines`: how many were read. `head`: the hash of the last one, to be noted outside this host. `first`: the number
    of the first record, which is more than 1 when rotation deleted older logs.
    """

    lines: int
    head: str
    findings: tuple[Finding, ...]
    first: int = 1


def verify(path: str) -> Report:
    """Check the chain of the log at `path` and its rotated logs, and its head file. Raises OSError when it cannot be
    read.

    A line that is empty or not a record is a finding: a power loss or a full disk leaves one, and so does tampering.
    """
    chain = _Chain()
    for file in [*archives(path), path]:
        chain.read(file, "" if file == path else os.path.basename(file))
    findings = chain.findings()
    if problem := _check_head(path + ".head", chain.prev_before, chain.prev, chain.count):
        findings.append(Finding(line=chain.line, problem=problem))
    return Report(lines=chain.count, head=chain.prev, findings=tuple(findings), first=chain.first)


class _Chain:
    """What is known after the lines read so far: the last number, the last two hashes, and the findings."""

    def __init__(self) -> None:
        self.count, self.line, self.seq, self.first, self.dropped = 0, 0, 0, 1, 0
        self.prev_before = self.prev = FIRST_PREV
        self._found: list[Finding] = []
        self._first_finding: Finding | None = None

    def read(self, path: str, name: str) -> None:
        with lines.open_log(path) as file:
            self.line = 0
            for self.line, line in enumerate(lines.of(file), 1):
                self._add(line, name)

    def _add(self, line: bytes, name: str) -> None:
        self.count += 1
        problem, record = _check(line, self.prev, self.seq)
        self.seq = sequence(record) if record else self.seq + 1
        if record and record.get("event") == "rotated" and type(record.get("dropped")) is int:
            self.dropped = max(self.dropped, record["dropped"])
        if problem:
            finding = Finding(line=self.line, problem=problem, file=name)
            if self.count == 1 and record:
                self._first_finding, self.first = finding, self.seq
            else:
                self._found.append(finding)
        self.prev_before, self.prev = self.prev, sha256(line).hexdigest()

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
    if claimed != prev:
        return "does not follow the line before it: one of the two was changed, removed or inserted", record
    if number != seq + 1:
        return f"is number {number}, expected {seq + 1}", record
    return "", record


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
