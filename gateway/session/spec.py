"""What a warden is told at its start, as it crosses the exec."""

from __future__ import annotations

import os

from gateway.base import json
from gateway.base.records import Record

NO_FD = -1


class Spec(Record):
    """All that a warden is told, as it crosses the exec. Descriptors are numbers, `NO_FD` for none.

    `project` and `slot` name a first view ("" for none) whose passphrase is behind `secret_fd`, whose turn is `turn_fd`
    and whose place is `view_fd`; `place_fd` is the session's (gateway.limits.concurrency). `leash_fd` ends the session
    when its other end closes; `ready_fd` is closed once the session can be reached. `monitor_fd` is a pidfd of sshd's
    monitor of the connection. `disk` (MiB, 0: no quota) is what all projects may take, `ledger_fd` says what is taken
    of that (gateway.limits.disk.ledger). `request` and `began` (boottime, seconds) belong to the request that the
    session answers.
    """

    id: str
    principal: str
    fingerprint: str
    address: str
    port: int
    connection: str
    anchor: str
    json: bool
    request: str
    began: float
    audit_name: str
    syslog: str
    grace: int
    idle_session: int
    idle_view: int
    idle_view_longest: int
    idle_warning: int
    disk: int
    keys_name: str
    blob: str
    place_fd: int
    lock_fd: int
    status_fd: int
    monitor_fd: int
    project: str = ""
    slot: str = ""
    secret_fd: int = NO_FD
    turn_fd: int = NO_FD
    leash_fd: int = NO_FD
    view_fd: int = NO_FD
    ready_fd: int = NO_FD
    ledger_fd: int = NO_FD

    def descriptors(self) -> tuple[int, ...]:
        fds = (
            self.place_fd,
            self.view_fd,
            self.lock_fd,
            self.status_fd,
            self.monitor_fd,
            self.secret_fd,
            self.turn_fd,
            self.leash_fd,
            self.ready_fd,
            self.ledger_fd,
        )
        return tuple(fd for fd in fds if fd != NO_FD)


class Anchor(Record):
    """What holds the session, and its first view: the part of a Spec that the command decides."""

    name: str
    json: bool
    request: str
    began: float
    project: str = ""
    slot: str = ""
    secret_fd: int = NO_FD
    turn_fd: int = NO_FD
    view_fd: int = NO_FD
    leash_fd: int = NO_FD
    ready_fd: int = NO_FD


def read_spec(fd: int) -> Spec:
    """The Spec behind `fd`, which is closed; its own descriptors are close-on-exec from here on."""
    with os.fdopen(fd, "rb") as file:
        spec = Spec(**json.loads(file.read()))
    for passed in spec.descriptors():
        os.set_inheritable(passed, False)
    return spec
