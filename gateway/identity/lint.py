"""Find errors and likely mistakes in authorized_keys: its lines, its owner and its mode. Changes nothing."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from enum import Enum

from gateway.base.records import Record
from gateway.identity import authorized_keys, key_location, strict_modes
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
"""Options that a line may have only once; sshd refuses the line otherwise (OpenSSH, auth-options.c)."""
_KEY = re.compile(r"(?:^|\s)AAAA[A-Za-z0-9+/]{40,}={0,2}(?:\s|$)")
"""A key's blob: each begins with the length of a short text."""
_JOINED = re.compile(r"[^\s#\"',](?:ssh-|sk-ssh-|ecdsa-sha2-)\S+ AAAA[A-Za-z0-9+/]{40,}")
"""A key whose type is glued to a word: not one that somebody took out of use by a # before it."""
_SPLIT = "begin a new line before the key"


class Level(Enum):
    """ERROR: sshd or the gateway refuses the line or the file, or somebody else can change it. WARN: it is likely a
    mistake.
    """

    WARN = "WARN"
    ERROR = "ERROR"


class Finding(Record):
    """A problem of a line (0: of the file itself), and how to fix it."""

    line: int
    level: Level
    problem: str
    fix: str = ""

    def located(self, path: str) -> str:
        """The problem, preceded by file and line."""
        return f"{path}, line {self.line}: {self.problem}" if self.line else self.problem


def examine(path: str, now: float, top: str = "/") -> tuple[Finding, ...]:
    """All findings in the file `path`, sorted by line. `now` is in seconds since the epoch. `top` is as for
    strict_modes.examine.

    Raises Misconfigured if the file cannot be read.
    """
    text = authorized_keys.read(path)
    entries = tuple(authorized_keys.lines(text))
    found = [*_check_file(path, top), *_check_duplicates(entries), *_check_joined(text, entries)]
    for entry in entries:
        found += _check_line(entry, now)
    return tuple(sorted(found, key=lambda finding: finding.line))


def exit_code(findings: tuple[Finding, ...]) -> int:
    """0 if there are no findings, 1 if there are only warnings, 2 if there are errors."""
    return max(([Level.WARN, Level.ERROR].index(finding.level) + 1 for finding in findings), default=0)


def _error(line: int, problem: str, fix: str = "") -> Finding:
    return Finding(line=line, level=Level.ERROR, problem=problem, fix=fix)


def _warning(line: int, problem: str, fix: str = "") -> Finding:
    return Finding(line=line, level=Level.WARN, problem=problem, fix=fix)


def _check_file(path: str, top: str) -> Iterator[Finding]:
    """Check owners and modes, and for links that live sessions cannot follow when they are replaced."""
    for link in key_location.locate(path).links:
        yield _warning(
            0, f"{path} leads through the link {link}; when that is replaced, live sessions end", "name the file itself"
        )
    for one in strict_modes.examine(path, top):
        yield _error(0, one.problem, one.fix)
    if not os.stat(path).st_mode & stat.S_IROTH:
        yield _error(0, f"the gateway's account cannot read {path}", "chmod 0644")


def _check_line(entry: Entry, now: float) -> Iterator[Finding]:
    at = entry.line
    if entry.problem:
        yield _error(at, f"sshd does not accept this line: {entry.problem}")
    if entry.key_type not in KEY_TYPES:
        return
    if not authorized_keys.is_key(entry.key_type, entry.blob):
        yield _error(at, "sshd does not accept this line: the key is damaged or of another type")
    yield from _check_options(entry)
    if not entry.has_flag("restrict"):
        yield _warning(at, "restrict is missing", "write restrict,pty before the other options")
    if entry.has_expired(now):
        expired = "the invitation" if entry.invitation_for else "the key"
        yield _warning(at, f"{expired} has expired", "remove the line")
    principal = entry.invitation_for or entry.principal
    if (principal or entry.invitation_for != entry.principal) and not Principal.accepts(principal):
        yield _error(at, "ENC_USER is not a valid principal, so every command is refused", f"use {Principal.rule}")


def _check_options(entry: Entry) -> Iterator[Finding]:
    at = entry.line
    names = [option.name.lower() for option in entry.options]
    for option, name in zip(entry.options, names, strict=True):
        if not name:
            continue
        if name not in (_FLAGS if option.value is None else _VALUES):
            yield _error(at, f"sshd does not accept this line, unless it knows the option {name}")
        elif name.endswith("-forwarding") and not name.startswith("no-"):
            yield _warning(at, f"{name} has no effect: the gateway's sshd configuration refuses it", "remove it")
        elif name == "command":
            yield _warning(at, "command has no effect: the gateway's sshd configuration sets it", "remove it")
        elif name == "environment" and not (option.value or "").startswith("ENC_USER="):
            yield _warning(at, "environment has no effect: it can only set ENC_USER", "remove it")
    for name in sorted(_ONCE & {name for name in names if names.count(name) > 1}):
        yield _error(at, f"sshd does not accept this line: it has {name} twice", "remove one")
    if names.count("environment") > 1:
        yield _warning(at, "it has environment twice; only the first ENC_USER counts", "remove one")


def _check_joined(text: str, entries: tuple[Entry, ...]) -> Iterator[Finding]:
    """Find keys that sshd does not see, because they were appended to a line without a newline at its end."""
    for entry in entries:
        if _KEY.search(entry.label):
            yield _error(entry.line, "the comment of this line has another key, which sshd does not see", _SPLIT)
    lines = text.split("\n")
    for number, line in enumerate(lines, 1):
        if line.lstrip(" \t").startswith("#") and _JOINED.search(line):
            yield _warning(number, "this comment has a key at its end, which sshd does not see", _SPLIT)
    if lines[-1]:
        yield _warning(len(lines), "the last line has no newline: what is appended next becomes part of it", "add one")


def _check_duplicates(entries: tuple[Entry, ...]) -> Iterator[Finding]:
    """Find keys that are in several lines. sshd uses the first valid line of a key."""
    first: dict[str, Entry] = {}
    for entry in entries:
        if not entry.blob:
            continue
        before = first.setdefault(entry.blob, entry)
        if before is entry:
            continue
        if before.principal != entry.principal:
            other = f"{before.principal or 'its fingerprint'} in line {before.line}"
            yield _error(entry.line, f"the key has two principals; the other is {other}", "remove one of the lines")
        else:
            yield _warning(entry.line, f"the key is already in line {before.line}", "remove one of the lines")
