"""Checking the audit log: is every line there, unchanged, and in its place? Rotated logs are part of it."""

from __future__ import annotations

import os

from gateway.audit.log import FIRST_PREV, archives, sequence
from gateway.base import json
from gateway.base.records import Record
from gateway.base.sha256 import sha256

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Finding(Record):
    """What is wrong at a line (counted from 1) of a rotated log, or ("") of the log itself."""

    line: int
    problem: str
    file: str = ""

    def place(self) -> str:
        return f"line {self.line}{f' of {self.file}' if self.file else ''}"


class Report(Record):
    """What `verify` found: lines read, the hash to write down elsewhere, what is wrong, and the number of the first
    record that is there: more than 1 when older logs were dropped by rotation.
    """

    lines: int
    head: str
    findings: tuple[Finding, ...]
    first: int = 1


def verify(path: str) -> Report:
    """Check the chain of the log at `path`, with what was rotated away before it, against itself and its head file.
    Raises OSError when it cannot be read.

    An empty line or one that is no record is reported: only a power loss or a full disk leaves one, and a reader
    should know of either.
    """
    chain = _Chain()
    for file in [*archives(path), path]:
        chain.read(file, "" if file == path else os.path.basename(file))
    findings = chain.findings()
    if problem := _check_head(path + ".head", chain.before, chain.prev, chain.count):
        findings.append(Finding(line=chain.line, problem=problem))
    return Report(lines=chain.count, head=chain.prev, findings=tuple(findings), first=chain.first)


class _Chain:
    """The lines read so far: the last number and the last two hashes, and what is wrong."""

    def __init__(self) -> None:
        self.count, self.line, self.seq, self.first, self.dropped = 0, 0, 0, 1, 0
        self.before = self.prev = FIRST_PREV
        self._found: list[Finding] = []
        self._beginning: Finding | None = None

    def read(self, path: str, name: str) -> None:
        with open(path, "rb") as file:
            self.line = 0
            for self.line, raw in enumerate(file, 1):
                self._take(raw.removesuffix(b"\n"), name)

    def _take(self, line: bytes, name: str) -> None:
        self.count += 1
        problem, record = _check(line, self.prev, self.seq)
        self.seq = sequence(record) if record else self.seq + 1
        if record and record.get("event") == "rotated" and type(record.get("dropped")) is int:
            self.dropped = max(self.dropped, record["dropped"])
        if problem:
            finding = Finding(line=self.line, problem=problem, file=name)
            if self.count == 1 and record:
                self._beginning, self.first = finding, self.seq
            else:
                self._found.append(finding)
        self.before, self.prev = self.prev, sha256(line).hexdigest()

    def findings(self) -> list[Finding]:
        """A beginning that is no beginning is in order when rotation recorded that it dropped what was before."""
        if self._beginning is None or 1 < self.first <= self.dropped + 1:
            return self._found
        return [self._beginning, *self._found]


def _check(line: bytes, prev: str, seq: int) -> tuple[str, dict[str, Any]]:
    """The problem with `line` ("" for none), and its record (empty when it is none)."""
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


def _check_head(path: str, before: str, newest: str, lines: int) -> str:
    """The head names the last line, or, after a crash between two writes, the one before it."""
    try:
        with open(path, encoding="ascii") as file:
            last, digest = file.read().split()
            number = int(last)
    except FileNotFoundError:
        return "the head file is missing" if lines else ""
    except (OSError, ValueError):
        return "the head file cannot be read"
    if digest in (before, newest):
        return ""
    return f"the log does not end where its head file says (line {number}): lines were cut off or added"
