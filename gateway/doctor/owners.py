"""Check owners and modes: files that only root may change, and directories of the gateway's account alone."""

from __future__ import annotations

import os
import stat

from gateway.base import privileges
from gateway.cluster import places
from gateway.doctor.cluster import lost
from gateway.doctor.finding import Finding, Target, fail, ok

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_SETUP = "enc-gateway setup"


def check(target: Target) -> Iterator[Finding]:
    config = target.config
    on_store = "mount the shared file system" if places.is_cluster(config) else _SETUP
    problems = [
        _private(config.paths_vaults, target, on_store),
        *(_private(path, target) for path in (config.paths_run, os.path.dirname(config.paths_audit))),
        *(_root_only(path) for path in (target.path, os.path.dirname(target.path), config.paths_pause)),
        *_homes(config.paths_vaults, target.uid),
    ]
    found = [problem for problem in problems if problem]
    yield from found
    if not found:
        yield ok("owners and modes", "correct")


def _private(path: str, target: Target, missing: str = _SETUP) -> Finding | None:
    """`missing`: what to do when it is not there."""
    uid = target.uid
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return fail("owners and modes", f"{path} is missing", missing)
    except PermissionError:
        return fail("owners and modes", f"{path} cannot be examined", "run doctor as root, or as the gateway's account")
    except OSError as error:
        return lost.finding("owners and modes", target.config, path, error.errno or 0)
    if found.st_uid != uid or stat.S_IMODE(found.st_mode) != 0o700:
        about = f"{path} has mode {stat.S_IMODE(found.st_mode):04o} and owner {found.st_uid}, not 0700 and {uid}"
        return fail("owners and modes", about, f"chown {uid} {path}; chmod 0700 {path}")
    return None


def _homes(vaults: str, uid: int) -> Iterator[Finding]:
    """Check principals' directories. The vaults below them are checked whenever they are unlocked."""
    try:
        with os.scandir(vaults) as entries:
            foreign = [entry.path for entry in entries if entry.stat(follow_symlinks=False).st_uid != uid]
    except OSError:
        return
    for path in foreign:
        yield fail("owners and modes", f"{path} belongs to another account", f"chown -R {uid} {path}")


def _root_only(path: str) -> Finding | None:
    """The configuration names every other path, so whoever can change it controls the gateway."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    if found.st_mode & 0o022 or found.st_uid not in (0, privileges.invoker()):
        fix = f"chown root {path}; chmod go-w {path}"
        return fail("owners and modes", f"{path} can be changed by others than root", fix)
    return None
