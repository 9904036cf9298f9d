"""All checks, in the order in which they are told."""

from __future__ import annotations

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
)
from gateway.doctor.finding import Finding, Patient, fail, ok
from gateway.errors import Misconfigured
from gateway.host import account

OF_THE_HOST = (programs.check, sandboxing.check, running.check, sshd.check, inotify.check, memory.check)
"""These look at what only root can change; that of sshd needs root."""
OF_THE_ACCOUNT = (keys.check, owners.check, clock.check, disk.check, live.check, auditing.check)
"""These read what the gateway's account can write, and do so as that account."""


def examine(path: str, sessions: int) -> tuple[Finding, ...]:
    """Every finding about the gateway that is configured by `path` and is to carry so many sessions at once.

    A configuration that is wrong is the first finding; the rest is then looked at by the defaults.
    """
    found: list[Finding] = []
    try:
        settings = loader.load(path)
        found.append(ok("configuration", f"{path} is sound"))
    except Misconfigured as error:
        settings = loader.parse("")
        found.append(fail("configuration", str(error), "until it is right no login succeeds"))
    looked_at = patient(path, settings, sessions)
    for check in OF_THE_HOST:
        found += check(looked_at)
    with privileges.account(*_reader(settings, looked_at.uid)):
        for check in OF_THE_ACCOUNT:
            found += check(looked_at)
    return tuple(found)


def _reader(settings: Config, uid: int) -> tuple[int, int]:
    """Who reads the account's directories: their owner, or, where there are none yet, the account."""
    try:
        return privileges.owner(settings.paths_vaults)
    except OSError:
        there = account.find()
        return uid, there.pw_gid if there else os.getegid()


def patient(path: str, settings: Config, sessions: int = 1) -> Patient:
    """The gateway of `settings`, which came from the file `path`, as we can look at it."""
    return Patient(path=path, config=settings, sessions=sessions, uid=_uid(), as_root=os.geteuid() == 0)


def _uid() -> int:
    """Whom the vaults have to belong to: the account when root asks, else whoever asks."""
    there = account.find() if os.geteuid() == 0 else None
    return there.pw_uid if there else os.geteuid()
