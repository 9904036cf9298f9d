"""Owners and modes: what only root may change, and what is the gateway's account's alone."""

from __future__ import annotations

import os
import stat

from gateway.base import privileges
from gateway.doctor.finding import Finding, Patient, fail, ok

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


def check(patient: Patient) -> Iterator[Finding]:
    config = patient.config
    problems = [
        *(_private(path, patient.uid) for path in (config.paths_vaults, config.paths_run)),
        _private(os.path.dirname(config.paths_audit), patient.uid),
        *(_roots(path) for path in (patient.path, os.path.dirname(patient.path), config.paths_pause)),
        *_homes(config.paths_vaults, patient.uid),
    ]
    found = [problem for problem in problems if problem]
    yield from found
    if not found:
        yield ok("owners and modes", "as they have to be")


def _private(path: str, uid: int) -> Finding | None:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return fail("owners and modes", f"{path} is missing", "enc-gateway setup")
    except PermissionError:
        return fail("owners and modes", f"{path} cannot be looked at", "run doctor as root, or as the account")
    if found.st_uid != uid or stat.S_IMODE(found.st_mode) != 0o700:
        about = f"{path} has mode {stat.S_IMODE(found.st_mode):04o} and owner {found.st_uid}, not 0700 and {uid}"
        return fail("owners and modes", about, f"chown {uid} {path}; chmod 0700 {path}")
    return None


def _homes(vaults: str, uid: int) -> Iterator[Finding]:
    """Principals' directories; vaults below them are looked at when they are unlocked."""
    try:
        with os.scandir(vaults) as entries:
            strange = [entry.path for entry in entries if entry.stat(follow_symlinks=False).st_uid != uid]
    except OSError:
        return
    for path in strange:
        yield fail("owners and modes", f"{path} belongs to another account", f"chown -R {uid} {path}")


def _roots(path: str) -> Finding | None:
    """What whoever else may change is as good as root here: the configuration names every other path."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    if found.st_mode & 0o022 or found.st_uid not in (0, privileges.invoker()):
        fix = f"chown root {path}; chmod go-w {path}"
        return fail("owners and modes", f"{path} can be changed by others than root", fix)
    return None
