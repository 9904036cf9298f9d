"""All checks, in the order in which they are told."""

from __future__ import annotations

import os

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

TOPICS = (
    programs.check,
    sandboxing.check,
    running.check,
    sshd.check,
    keys.check,
    owners.check,
    inotify.check,
    memory.check,
    clock.check,
    disk.check,
    live.check,
    auditing.check,
)


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
    for check in TOPICS:
        found += check(looked_at)
    return tuple(found)


def patient(path: str, settings: Config, sessions: int = 1) -> Patient:
    """The gateway of `settings`, which came from the file `path`, as we can look at it."""
    return Patient(path=path, config=settings, sessions=sessions, uid=_uid(), as_root=os.geteuid() == 0)


def _uid() -> int:
    """Whom the vaults have to belong to: the account when root asks, else whoever asks."""
    there = account.find() if os.geteuid() == 0 else None
    return there.pw_uid if there else os.geteuid()
