"""Checking the audit log: is every line there, unchanged, and in its place?"""

from __future__ import annotations

import json

from gateway.audit import FIRST_PREV, sequence
from gateway.digest import sha256
from gateway.record import Record


class Finding(Record):
    """What is wrong at a line (counted from 1)."""

    line: int
    problem: str


class Report(Record):
    """What `verify` found: lines read, the hash to write down elsewhere, and what is wrong."""

    lines: int
    head: str
    findings: tuple[Finding, ...]


def verify(path: str) -> Report:
    """Check the chain of the log at `path` against itself and its head file. Raises OSError when it cannot be read.

    An empty line or one that is no record is reported: only a power loss or a full disk leaves one, and a reader
    should know of either.
    """
    prev, seq, count = FIRST_PREV, 0, 0
    found: list[Finding] = []
    hashes = [FIRST_PREV]
    with open(path, "rb") as file:
        for count, raw in enumerate(file, 1):
            line = raw.removesuffix(b"\n")
            problem, seq = _check(line, prev, seq)
            if problem:
                found.append(Finding(line=count, problem=problem))
            prev = sha256(line).hexdigest()
            hashes.append(prev)
    if problem := _check_head(path + ".head", hashes):
        found.append(Finding(line=count, problem=problem))
    return Report(lines=count, head=prev, findings=tuple(found))


def _check(line: bytes, prev: str, seq: int) -> tuple[str, int]:
    """The problem with `line` ("" for none), and its number."""
    try:
        record = json.loads(line)
        number, claimed = sequence(record), record["prev"]
    except (ValueError, KeyError, RecursionError):
        return "not a record (torn by a power loss or a full disk, or overwritten)", seq + 1
    if claimed != prev:
        return "does not follow the line before it: one of the two was changed, removed or inserted", number
    if number != seq + 1:
        return f"is number {number}, expected {seq + 1}", number
    return "", number


def _check_head(path: str, hashes: list[str]) -> str:
    """The head names the last line, or, after a crash between two writes, the one before it."""
    try:
        with open(path, encoding="ascii") as file:
            last, digest = file.read().split()
            number = int(last)
    except FileNotFoundError:
        return "the head file is missing" if len(hashes) > 1 else ""
    except (OSError, ValueError):
        return "the head file cannot be read"
    if digest in hashes[-2:]:
        return ""
    return f"the log does not end where its head file says (line {number}): lines were cut off or added"
