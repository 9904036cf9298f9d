"""What a check says, and what it is told."""

from __future__ import annotations

from enum import Enum

from gateway.base.records import Record
from gateway.config.schema import Config


class Level(Enum):
    """How a check came out; the value is the word that is printed."""

    OK = "OK"
    WARN = "WARN"
    FAIL = "FAIL"


class Finding(Record):
    """What was looked at, how it is, and what to do about it ("" when nothing)."""

    level: Level
    subject: str
    state: str
    fix: str = ""


def ok(subject: str, state: str) -> Finding:
    return Finding(level=Level.OK, subject=subject, state=state)


def warn(subject: str, state: str, fix: str) -> Finding:
    return Finding(level=Level.WARN, subject=subject, state=state, fix=fix)


def fail(subject: str, state: str, fix: str) -> Finding:
    return Finding(level=Level.FAIL, subject=subject, state=state, fix=fix)


class Patient(Record):
    """The gateway that is looked at: its configuration (by `path`), how many sessions it is to carry at once, the uid
    that its vaults belong to, and whether we are root.
    """

    path: str
    config: Config
    sessions: int
    uid: int
    as_root: bool


def worst(findings: tuple[Finding, ...]) -> int:
    """The exit code: 0, 1 for a warning, 2 for a failure."""
    order = [Level.OK, Level.WARN, Level.FAIL]
    return max(order.index(finding.level) for finding in findings)
