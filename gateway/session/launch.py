"""Turning a front into a session: what the warden needs to know, and the exec of bubblewrap.

`start` replaces this process by a shell that waits for the end of the channel (`_WAITER`), and bubblewrap is its child:
so a session costs one interpreter, and can outlive the channel that it began with. `start_child` leaves this process
running (the prompt) and ties the session to it.
"""

from __future__ import annotations

import os
import signal

from gateway.base import codec, interpreter, process, rlimits
from gateway.base.records import Fd
from gateway.errors import Busy, Internal
from gateway.identity import key_location
from gateway.limits import concurrency
from gateway.limits.disk import ceph_quota
from gateway.sandbox.session import HostPaths, session_argv
from gateway.session import cleanup, protocol, registry, watchdog
from gateway.session.spec import (
    READY,
    Anchor,
    Audit,
    Channel,
    Cluster,
    HeldPath,
    Home,
    IdleLimits,
    KeyFile,
    Quota,
    Spec,
)
from gateway.vault import defects

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.config.schema import Config
    from gateway.errors import EncError
    from gateway.identity.authentication import Identity
    from gateway.identity.names import SessionId

_TERMINAL_SIGNALS = (
    *(signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP, signal.SIGHUP),
    *(signal.SIGTTIN, signal.SIGTTOU),
)
"""Not for bubblewrap and the watchdog, which stay outside; SIG_IGN outlives an exec. The last two would stop a
prompt's session, which is in the background of its terminal, when it says something and the client's `stty` has
`tostop`: stopped, it would neither lock nor end.
"""


_LONGEST_REFUSAL = 1 << 16
_SHELL = "/bin/sh"
_WAITER = """
read -r status || { echo "enc: the session was ended from outside; its projects are locked" >&2; status=75; }
while read -r _; do :; done
exit "$status"
"""
"""What sshd waits for. Its standard input is the other end of spec.Channel's `leave`: the channel's exit status comes
there, and then, when the warden lets go of the channel or has ended, the end of file. 0.1 MiB.
"""


def start(config: Config, caller: Identity, anchor: Anchor, home: Home, state: str) -> None:
    """Replace this process by a session and what waits for it. `state` is the directory of what counts for a principal
    on all hosts (gateway.cluster.places). Returns only by raising: Internal when the host does not
    let us, which gateway.sandbox.host tells beforehand; Busy when the caller has as many sessions as is allowed.
    """
    place = _place(config, caller, state)
    try:
        told, leave = os.pipe()
        _become(config, caller, anchor, home, place, Fd(leave), told)
    except OSError as error:
        raise Internal("the session's sandbox cannot be started", os.strerror(error.errno or 0)) from error


def _become(
    config: Config,
    caller: Identity,
    anchor: Anchor,
    home: Home,
    place: Fd,
    leave: Fd | None = None,
    told: int | None = None,
) -> None:
    """Become bubblewrap, or, with `told`, the shell that waits, and bubblewrap its child. Bubblewrap has none of the
    channel's descriptors: as long as anybody has them, sshd does not close the channel.
    """
    id_, path, lock = registry.prepare(config.paths_run, home.owner)
    is_child = False
    try:
        for ignored in _TERMINAL_SIGNALS:
            signal.signal(ignored, signal.SIG_IGN)
        rlimits.lift()
        status, status_writer = os.pipe()
        stdin, stdout, stderr = (Fd(os.dup(number)) for number in (0, 1, 2))
        anchor = anchor.replace(channel=Channel(stdin=stdin, stdout=stdout, stderr=stderr, leave=leave))
        spec = _spec(config, caller, home, anchor, id_, place, lock, Fd(status), watchdog.start())
        if told is not None and os.fork():
            os.dup2(told, 0)
            os.execve(_SHELL, [_SHELL, "-c", _WAITER], {})  # noqa: S606 - bubblewrap is under way
        is_child = told is not None
        argv = _argv(config, spec, path, status_writer)
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        for number in (0, 1, 2):
            os.dup2(null, number)
        os.execve(argv[0], argv, {})  # noqa: S606 - no shell is the point
    finally:
        os.close(lock)
        cleanup.discard(path)
        if is_child:
            os._exit(Internal.code)


def start_child(config: Config, caller: Identity, anchor: Anchor, home: Home, state: str) -> Fd:
    """Start a session, and wait until it can be reached. What it begins with leaves it when the returned descriptor is
    closed, or with this process.

    Raises what `start` raises, what kept it from opening, and Internal when it ends at once.
    """
    place = _place(config, caller, state)
    hangup, held = os.pipe()
    ready, announced = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = Internal.code
        try:
            os.close(held)
            os.close(ready)
            os.setpgid(0, 0)  # Ctrl-C at the prompt is the prompt's
            _become(config, caller, anchor.replace(hangup=Fd(hangup), ready=Fd(announced)), home, place)
        finally:
            os._exit(status)
    os.close(place)
    os.close(hangup)
    os.close(announced)
    said = os.read(ready, _LONGEST_REFUSAL)
    os.close(ready)
    if said != READY:
        os.close(held)
        os.waitpid(pid, 0)
        raise _refusal(said)
    return Fd(held)


def _refusal(said: bytes) -> EncError:
    try:
        reply = protocol.decode(said)
    except protocol.Malformed:
        return Internal("the session could not be started")
    assert isinstance(reply, protocol.Failed)  # noqa: S101 - the warden says nothing else
    return protocol.error_of(reply)


def _place(config: Config, caller: Identity, state: str) -> Fd:
    return concurrency.acquire(state, caller.principal, concurrency.SESSIONS, config.limits_sessions)


def _spec(
    config: Config,
    caller: Identity,
    home: Home,
    anchor: Anchor,
    id_: SessionId,
    place: Fd,
    lock: Fd,
    status: Fd,
    watchdog_: Fd,
) -> Spec:
    return Spec(
        id=id_,
        caller=caller,
        home=home,
        anchor=anchor,
        audit=Audit(name=os.path.basename(config.paths_audit), syslog=config.audit_syslog),
        idle=IdleLimits(
            session=config.idle_session,
            view=config.idle_view,
            view_longest=config.idle_view_longest,
            warning=config.idle_warning,
        ),
        quota=_quota(config, home),
        hard_links=defects.HARD_LINKS not in defects.found(defects.installed(config.paths_run)),
        grace=config.lock_grace,
        keys=_key_file(config.paths_authorized_keys),
        place=place,
        lock=lock,
        status=status,
        watchdog=watchdog_,
        monitor=sshd_monitor(),
        cluster=Cluster(host=config.cluster_host, stale=config.cluster_stale) if config.cluster_directory else None,
    )


def _key_file(path: str) -> KeyFile:
    """The authorized_keys that the session watches. Raises Busy when a link to it was replaced at this very moment."""
    found = key_location.locate(path)
    stays = found.directory in key_location.SHOWN
    file = None if stays else _hold(os.path.join(found.directory, found.name))
    links = tuple(map(_hold, found.links))
    if key_location.locate(path) != found:
        raise Busy(f"{path} has just been replaced", "try again")
    return KeyFile(directory=found.directory, name=found.name, in_directory=file, links=links)


def _hold(path: str) -> HeldPath:
    fd = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    return HeldPath(path=path, fd=Fd(fd))


def _quota(config: Config, home: Home) -> Quota | None:
    """None without a limit, and in a cluster whose file system keeps it (gateway.cluster.quotas)."""
    if not config.limits_disk:
        return None
    if config.cluster_directory and ceph_quota.is_limited(home.vaults, config.limits_disk):
        return None
    ledger = concurrency.open_file(config.paths_run, home.owner, concurrency.DISK)
    return Quota(disk=config.limits_disk, ledger=ledger)


def _argv(config: Config, spec: Spec, path: str, status_writer: int) -> list[str]:
    spec_fd = process.memory_file(codec.dumps(spec).encode())
    for fd in (*codec.descriptors(spec), spec_fd, status_writer):
        os.set_inheritable(fd, True)
    ground = HostPaths(
        vaults=spec.home.vaults,
        session=path,
        audit_directory=os.path.dirname(config.paths_audit),
        syslog=config.audit_syslog,
        keys_directory=spec.keys.directory,
        extra=config.run_paths,
    )
    command = interpreter.python("gateway/warden/__main__.py", str(spec_fd))
    return session_argv(ground, status_writer, command)


def sshd_monitor() -> Fd | None:
    """A pidfd of sshd's monitor of this connection: its child, which has the pipes, would survive a kill -9 of it."""
    pid, name = os.getpid(), ""
    try:
        while not name.startswith("sshd"):
            pid, name = _parent(pid)
        return Fd(os.pidfd_open(_parent(pid)[0]))
    except OSError:  # ended this moment, or hidden from us (hidepid), or no sshd at all
        return None


def _parent(pid: int) -> tuple[int, str]:
    """Pid and name of the parent of `pid` (proc(5), stat)."""
    ppid = int(_stat(pid)[1][1])
    return ppid, _stat(ppid)[0]


def _stat(pid: int) -> tuple[str, list[str]]:
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
        before, _, after = file.read().rpartition(")")
    return before.partition("(")[2], after.split()
