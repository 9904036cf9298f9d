"""What is wrong, or not as meant, in authorized_keys. Looks at the text and the file; changes nothing."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from enum import Enum

from gateway.base import privileges
from gateway.base.records import Record
from gateway.identity import authorized_keys
from gateway.identity.authorized_keys import KEY_TYPES, Entry
from gateway.identity.names import Principal

_FLAGS = frozenset(
    (
        *("restrict", "cert-authority", "pty", "no-pty", "user-rc", "no-user-rc", "no-touch-required"),
        *("verify-required", "port-forwarding", "no-port-forwarding", "agent-forwarding", "no-agent-forwarding"),
        *("x11-forwarding", "no-x11-forwarding", "touch-required", "no-verify-required"),
    )
)
_VALUES = frozenset(
    ("command", "principals", "from", "expiry-time", "environment", "permitopen", "permitlisten", "tunnel")
)
_ONCE = frozenset(("command", "principals", "from"))
"""sshd refuses a line that has one of these twice (OpenSSH, auth-options.c)."""


class Level(Enum):
    """ERROR: the line, or the whole file, does not do what was meant. WARN: it does more, or less, than it looks."""

    WARN = "WARN"
    ERROR = "ERROR"


class Finding(Record):
    """`line` 0 is the file itself; `fix` is what to do."""

    line: int
    level: Level
    problem: str
    fix: str = ""

    def words(self, path: str) -> str:
        """The problem, with its place in the file `path`."""
        return f"{path}, line {self.line}: {self.problem}" if self.line else self.problem


def examine(path: str, now: float) -> tuple[Finding, ...]:
    """All findings of the file, by line. Raises Misconfigured when it cannot be read."""
    entries = tuple(authorized_keys.lines(authorized_keys.read(path)))
    found = [*_of_file(path), *_between(entries)]
    for entry in entries:
        found += _of_line(entry, now)
    return tuple(sorted(found, key=lambda finding: finding.line))


def exit_code(findings: tuple[Finding, ...]) -> int:
    """0, 1 for warnings, 2 for errors."""
    return max(([Level.WARN, Level.ERROR].index(finding.level) + 1 for finding in findings), default=0)


def _error(line: int, problem: str, fix: str = "") -> Finding:
    return Finding(line=line, level=Level.ERROR, problem=problem, fix=fix)


def _warning(line: int, problem: str, fix: str = "") -> Finding:
    return Finding(line=line, level=Level.WARN, problem=problem, fix=fix)


def _of_file(path: str) -> Iterator[Finding]:
    """Owner and mode, of the file and of the directory in which it could be replaced."""
    path = os.path.realpath(path)
    for place in (path, os.path.dirname(path)):
        found = os.stat(place)
        if found.st_uid not in (0, privileges.invoker()):
            yield _error(0, f"{place} does not belong to root, so another account decides who gets in", "chown root")
        if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not found.st_mode & stat.S_ISVTX:
            yield _error(0, f"{place} can be written by others, and sshd lets nobody in by it", "chmod go-w")
    if not os.stat(path).st_mode & stat.S_IROTH:
        yield _error(0, f"{path} cannot be read by the gateway's account", "chmod 0644")


def _of_line(entry: Entry, now: float) -> Iterator[Finding]:
    at = entry.line
    if entry.problem:
        yield _error(at, f"sshd lets nobody in by this line: {entry.problem}")
    if entry.key_type not in KEY_TYPES:
        return
    if not authorized_keys.is_key(entry.key_type, entry.blob):
        yield _error(at, "sshd lets nobody in by this line: the key is damaged or of another type")
    yield from _options(entry)
    if not entry.has("restrict"):
        yield _warning(at, "restrict is missing", "write restrict,pty before the other options")
    if now > entry.expires:
        yield _warning(at, "the invitation has expired" if entry.invites else "the key has expired", "remove the line")
    named = entry.invites or entry.principal
    if (named or entry.invites != entry.principal) and not Principal.accepts(named):
        yield _error(at, "ENC_USER is no valid principal, so every command is refused", f"use {Principal.rule}")


def _options(entry: Entry) -> Iterator[Finding]:
    at = entry.line
    names = [option.name.lower() for option in entry.options]
    for option, name in zip(entry.options, names, strict=True):
        if not name:
            continue
        if name not in (_FLAGS if option.value is None else _VALUES):
            yield _error(at, f"sshd lets nobody in by this line, unless it knows the option {name}")
        elif name.endswith("-forwarding") and not name.startswith("no-"):
            yield _warning(at, f"{name} has no effect: the gateway's sshd configuration refuses it", "remove it")
        elif name == "command":
            yield _warning(at, "command has no effect: the gateway's sshd configuration sets it", "remove it")
        elif name == "environment" and not (option.value or "").startswith("ENC_USER="):
            yield _warning(at, "environment sets nothing but ENC_USER", "remove it")
    for name in sorted(_ONCE & {name for name in names if names.count(name) > 1}):
        yield _error(at, f"sshd lets nobody in by this line: {name} is there twice", "remove one")
    if names.count("environment") > 1:
        yield _warning(at, "environment is there twice, and the first ENC_USER counts", "remove one")


def _between(entries: tuple[Entry, ...]) -> Iterator[Finding]:
    """sshd takes the first line that has the key and is good."""
    first: dict[str, Entry] = {}
    for entry in entries:
        if not entry.blob:
            continue
        before = first.setdefault(entry.blob, entry)
        if before is entry:
            continue
        if before.principal != entry.principal:
            named = f"{before.principal or 'its fingerprint'} in line {before.line}"
            yield _error(entry.line, f"the key has two principals: it is {named}", "remove one of the lines")
        else:
            yield _warning(entry.line, f"the key is in line {before.line} already", "remove one of the lines")
