"""Run all checks, in the order of the output."""

from __future__ import annotations

import errno
import os

from gateway.base import privileges
from gateway.config import loader
from gateway.config.schema import Config
from gateway.doctor import (
    auditing,
    clock,
    disk,
    inotify,
    keys,
    live,
    memory,
    owners,
    programs,
    running,
    sandboxing,
    sshd,
    unlocking,
)
from gateway.doctor.cluster import hosts, lost, storage
from gateway.doctor.finding import Finding, Target, fail, ok
from gateway.errors import EncError, Misconfigured
from gateway.host import account

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_HOST_CHECKS = (programs.check, sandboxing.check, running.check, sshd.check, inotify.check, memory.check, storage.check)
"""These read what only root can change. The one of sshd needs root."""
_ACCOUNT_CHECKS = (
    *(keys.check, owners.check, clock.check, disk.check, live.check, auditing.check, unlocking.check),
    hosts.check,
    unlocking.check_cost,
    unlocking.check_members,
)
"""These read what the gateway's account can write, so root runs them with the account's identity."""


def run_all(path: str, sessions: int) -> tuple[Finding, ...]:
    """The findings about the gateway with the configuration file `path`, which should carry that many live sessions.

    If the configuration is wrong, that is the first finding, and the other checks use the defaults.
    """
    found: list[Finding] = []
    try:
        settings = loader.load(path)
        found.append(ok("configuration", f"{path} is valid"))
    except Misconfigured as error:
        settings = loader.parse("")
        missing = "enc-gateway setup" if not os.path.exists(path) else "correct that line: until then nobody can log in"
        found.append(fail("configuration", str(error), missing))
    checked = target(path, settings, sessions)
    for check in _HOST_CHECKS:
        found += _findings(check, checked)
    with privileges.account(*_account_ids(settings, checked.uid)):
        for check in _ACCOUNT_CHECKS:
            found += _findings(check, checked)
    return tuple(dict.fromkeys(found))


def _findings(check: Callable[[Target], Iterator[Finding]], checked: Target) -> Iterator[Finding]:
    """Those of one check. If it cannot go on, that is its last finding: the other checks are made all the same."""
    try:
        yield from check(checked)
    except OSError as error:
        subject = check.__module__.rpartition(".")[2]
        path = str(error.filename or checked.config.paths_vaults)
        yield lost.finding(subject, checked.config, path, error.errno or errno.EIO)
    except EncError as error:
        yield fail(check.__module__.rpartition(".")[2], str(error), error.hint)


def _account_ids(settings: Config, uid: int) -> tuple[int, int]:
    """Uid and gid that own the account's directories; where there are none yet, those of the account."""
    try:
        return privileges.owner(settings.account_directory)
    except OSError:
        there = account.find()
        return uid, there.pw_gid if there else os.getegid()


def target(path: str, settings: Config, sessions: int = 1) -> Target:
    """What the checks are given, for the configuration `settings` from the file `path`."""
    return Target(path=path, config=settings, sessions=sessions, uid=_uid(), as_root=os.geteuid() == 0)


def _uid() -> int:
    """The uid that should own the vaults: the account's if we are root, else our own."""
    there = account.find() if os.geteuid() == 0 else None
    return there.pw_uid if there else os.geteuid()
