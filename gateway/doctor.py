"""Is this host fit for a gateway? Each check is one function that looks, changes nothing, and names the fix."""

from __future__ import annotations

import os
from enum import Enum

from gateway import auditcheck, gocryptfs, network, sandbox, seccomp, sessions
from gateway.errors import EncError
from gateway.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.config import Config


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


def examine(config: Config, expected_sessions: int) -> tuple[Finding, ...]:
    """All checks, for a gateway that is to carry `expected_sessions` at once. To be run as the gateway's account:
    what it may do is what counts.
    """
    return (
        *_programs(),
        _sandbox(),
        *_running(config),
        *_inotify(expected_sessions),
        _audit(config),
        _sessions(config),
    )


def _programs() -> Iterator[Finding]:
    wanted = {
        gocryptfs.PROGRAM: "gocryptfs",
        **{path: sandbox.PACKAGES[name] for name, path in sandbox.PROGRAMS.items()},
    }
    for path, package in wanted.items():
        if os.access(path, os.X_OK):
            yield Finding(level=Level.OK, subject=path, state="there")
        else:
            yield Finding(level=Level.FAIL, subject=path, state="missing", fix=f"apt install {package}")


def _sandbox() -> Finding:
    try:
        sandbox.require_host()
    except EncError as error:
        return Finding(level=Level.FAIL, subject="sandbox", state=str(error), fix=error.hint)
    return Finding(
        level=Level.OK, subject="sandbox", state="bubblewrap, user namespaces and FUSE work for this account"
    )


def _running(config: Config) -> Iterator[Finding]:
    """What `run`, `shell` and git need, and by which means their programs are limited."""
    if not config.run_commands and config.run_network == "none":
        yield Finding(level=Level.OK, subject="run", state="switched off")
        return
    try:
        size = len(seccomp.compiled())
        yield Finding(level=Level.OK, subject="run", state=f"the system call filter can be made ({size} bytes)")
    except EncError as error:
        yield Finding(level=Level.FAIL, subject="run", state=str(error), fix=error.hint)
    state = "rlimits, each process for itself; no cgroup bounds a program as a whole"
    yield Finding(level=Level.OK, subject="limits of programs", state=state)
    if config.run_network != "none":
        yield _network()


def _network() -> Finding:
    try:
        network.require()
    except EncError as error:
        return Finding(level=Level.FAIL, subject="run --net", state=str(error), fix=error.hint)
    return Finding(level=Level.OK, subject="run --net", state="slirp4netns and its device are there")


def _inotify(expected: int) -> Iterator[Finding]:
    """One instance a session; one watch a directory of an unlocked project (inotify(7)), counted per account."""
    for name, needed, why in (
        ("max_user_instances", expected, "a session without one falls back to I/O counters and polling"),
        ("max_user_watches", 1000 * expected, "a project with more directories falls back to I/O counters"),
    ):
        subject = f"fs.inotify.{name}"
        with open(f"/proc/sys/fs/inotify/{name}", encoding="ascii") as file:
            limit = int(file.read())
        if limit < needed:
            fix = f"sysctl {subject}={needed}: {why}"
            yield Finding(level=Level.WARN, subject=subject, state=f"{limit} for {expected} sessions", fix=fix)
        else:
            yield Finding(level=Level.OK, subject=subject, state=f"{limit} for {expected} sessions")


def _audit(config: Config) -> Finding:
    try:
        report = auditcheck.verify(config.paths_audit)
    except FileNotFoundError:
        return Finding(level=Level.OK, subject="audit", state="empty")
    except OSError as error:
        return Finding(
            level=Level.FAIL, subject="audit", state=f"{error.strerror}", fix=f"look at {config.paths_audit}"
        )
    if report.findings:
        state = f"{len(report.findings)} findings in {report.lines} lines"
        return Finding(level=Level.FAIL, subject="audit", state=state, fix="enc-gateway audit verify")
    return Finding(level=Level.OK, subject="audit", state=f"{report.lines} lines, the chain is whole")


def _sessions(config: Config) -> Finding:
    count = len(sessions.live(config.paths_run))
    return Finding(level=Level.OK, subject="sessions", state=f"{count} live")


def worst(findings: tuple[Finding, ...]) -> int:
    """The exit code: 0, 1 for a warning, 2 for a failure."""
    order = [Level.OK, Level.WARN, Level.FAIL]
    return max(order.index(finding.level) for finding in findings)
