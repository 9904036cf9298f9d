"""Turning a front into a session: what the warden needs to know, and the exec of bubblewrap.

`start` replaces this process, so a session costs one interpreter; `start_child` leaves this one running (the
prompt) and ties the session to it.
"""

from __future__ import annotations

import os
import signal

from gateway import places, plainjson, restraint, sandbox, sessions
from gateway.errors import Internal
from gateway.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.config import Config
    from gateway.identity import Identity

NO_FD = -1

_TERMINAL_SIGNALS = (
    *(signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP, signal.SIGHUP),
    *(signal.SIGTTIN, signal.SIGTTOU),
)
"""Not for bubblewrap, which stays as the warden's parent; SIG_IGN outlives its exec. The last two would stop a
prompt's session, which is in the background of its terminal, when it says something and the client's `stty` has
`tostop`: stopped, it would neither lock nor end.
"""


class Spec(Record):
    """All that a warden is told, as it crosses the exec. Descriptors are numbers, `NO_FD` for none.

    `project` and `slot` name a first view ("" for none) whose passphrase is behind `secret_fd`, whose turn is `turn_fd`
    and whose place is `view_fd`; `place_fd` is the session's (gateway.places). `leash_fd` ends the session when its
    other end closes; `ready_fd` is closed once the session can be reached. `monitor_fd` is a pidfd of sshd's monitor of
    the connection. `disk` (MiB, 0: no quota) is what all projects may take, `ledger_fd` says what is taken of that
    (gateway.ledger). `request` and `began` (CLOCK_BOOTTIME, seconds) belong to the request that the session answers.
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


def start(config: Config, caller: Identity, anchor: Anchor, vaults_home: str, place_fd: int = NO_FD) -> None:
    """Replace this process by a session. Returns only by raising: Misconfigured when the host does not let us, Busy
    when the caller has as many sessions as is allowed. `place_fd`: the session's place, if it has one already.
    """
    sandbox.require_host()
    if place_fd == NO_FD:
        place_fd = _place(config, caller)
    id_, path, lock_fd = sessions.prepare(config.paths_run)
    try:
        argv = _argv(config, caller, anchor, vaults_home, id_, path, lock_fd, place_fd)
        for ignored in _TERMINAL_SIGNALS:
            signal.signal(ignored, signal.SIG_IGN)
        restraint.lift()
        os.execve(argv[0], argv, {})  # noqa: S606 - no shell is the point
    except OSError as error:
        raise Internal("the session's sandbox cannot be started", os.strerror(error.errno or 0)) from error
    finally:
        os.close(lock_fd)
        sessions.sweep(path)


def start_child(config: Config, caller: Identity, anchor: Anchor, vaults_home: str) -> int:
    """Start a session that lives no longer than this process, and wait until it can be reached. Returns its pid.

    Raises what `start` raises, and Internal when the session ends at once.
    """
    sandbox.require_host()
    place_fd = _place(config, caller)
    leash, held = os.pipe()
    ready, announced = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = Internal.code
        try:
            os.close(held)
            os.close(ready)
            os.setpgid(0, 0)  # Ctrl-C at the prompt is the prompt's
            start(config, caller, anchor.replace(leash_fd=leash, ready_fd=announced), vaults_home, place_fd)
        finally:
            os._exit(status)
    os.close(place_fd)
    os.close(leash)
    os.close(announced)
    said = os.read(ready, 1)
    os.close(ready)
    if not said:
        os.close(held)
        os.waitpid(pid, 0)
        raise Internal("the session could not be started")
    return pid  # `held` stays open until this process ends


def _place(config: Config, caller: Identity) -> int:
    return places.take(config.paths_run, caller.principal, places.SESSIONS, config.limits_sessions)


def _argv(
    config: Config,
    caller: Identity,
    anchor: Anchor,
    vaults_home: str,
    id_: str,
    path: str,
    lock_fd: int,
    place_fd: int,
) -> list[str]:
    status_fd, status_writer = os.pipe()
    about = {key: value for key, value in anchor.as_dict().items() if key != "name"}
    spec = Spec(
        id=id_,
        principal=caller.principal,
        fingerprint=caller.fingerprint,
        address=caller.address,
        port=caller.port,
        connection=caller.connection,
        anchor=anchor.name,
        audit_name=os.path.basename(config.paths_audit),
        syslog=config.audit_syslog,
        grace=config.lock_grace,
        idle_session=config.idle_session,
        idle_view=config.idle_view,
        idle_view_longest=config.idle_view_longest,
        idle_warning=config.idle_warning,
        disk=config.limits_disk,
        keys_name=os.path.basename(config.paths_authorized_keys),
        blob=caller.blob,
        place_fd=place_fd,
        lock_fd=lock_fd,
        status_fd=status_fd,
        monitor_fd=_sshd_monitor(),
        ledger_fd=places.file(config.paths_run, caller.principal, places.DISK) if config.limits_disk else NO_FD,
        **about,
    )
    spec_fd = _memory(plainjson.dumps(spec.as_dict()).encode())
    passwd_fd = _memory(sandbox.passwd())
    for fd in (*spec.descriptors(), spec_fd, passwd_fd, status_writer):
        os.set_inheritable(fd, True)
    ground = sandbox.Ground(
        vaults=vaults_home,
        session=path,
        audit_directory=os.path.dirname(config.paths_audit),
        syslog=config.audit_syslog,
        keys_directory=os.path.dirname(config.paths_authorized_keys),
        extra=config.run_paths,
    )
    command = sandbox.python("gateway/warden/__main__.py", str(spec_fd))
    return sandbox.session_argv(ground, passwd_fd, status_writer, command)


def _sshd_monitor() -> int:
    """A pidfd of sshd's monitor of this connection: its child, which has the pipes, would survive a kill -9 of it."""
    pid, name = os.getpid(), ""
    try:
        while not name.startswith("sshd"):
            pid, name = _parent(pid)
        return os.pidfd_open(_parent(pid)[0])
    except OSError:  # ended this moment, or hidden from us (hidepid), or no sshd at all
        return NO_FD


def _parent(pid: int) -> tuple[int, str]:
    """Pid and name of the parent of `pid` (proc(5), stat)."""
    ppid = int(_stat(pid)[1][1])
    return ppid, _stat(ppid)[0]


def _stat(pid: int) -> tuple[str, list[str]]:
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
        before, _, after = file.read().rpartition(")")
    return before.partition("(")[2], after.split()


def _memory(content: bytes) -> int:
    fd = os.memfd_create("enc")
    os.write(fd, content)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def read_spec(fd: int) -> Spec:
    """The Spec behind `fd`, which is closed; its own descriptors are close-on-exec from here on."""
    with os.fdopen(fd, "rb") as file:
        spec = Spec(**plainjson.loads(file.read()))
    for passed in spec.descriptors():
        os.set_inheritable(passed, False)
    return spec
