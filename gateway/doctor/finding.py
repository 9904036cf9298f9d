"""What a check gets (Target), and what it yields (Finding)."""

from __future__ import annotations

from enum import Enum

from gateway.base.records import Record
from gateway.config.schema import Config


class Level(Enum):
    """The result of a check. The value is the printed word."""

    OK = "OK"
    WARN = "WARN"
    FAIL = "FAIL"


class Finding(Record):
    """The subject that was checked, its state, and the fix ("" when none is needed)."""

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


class Target(Record):
    """The gateway to check: its configuration and the `path` of that, the number of live sessions to carry, the uid
    that should own its vaults, and whether we are root.
    """

    path: str
    config: Config
    sessions: int
    uid: int
    as_root: bool


def worst(findings: tuple[Finding, ...]) -> int:
    """The exit code for the worst finding: 0, 1 for a warning, 2 for a failure."""
    order = [Level.OK, Level.WARN, Level.FAIL]
    return max(order.index(finding.level) for finding in findings)
