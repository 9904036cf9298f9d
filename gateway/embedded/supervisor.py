"""Run the embedded gateway: start sshd, announce that it is ready, and end every process that it started."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import select
import signal
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import structlog

from gateway.audit import administration
from gateway.base import interpreter, privileges, process
from gateway.base.records import Record
from gateway.cluster import places
from gateway.config import loader
from gateway.embedded import host, layout
from gateway.errors import EncError, Misconfigured
from gateway.sandbox.paths import SSHD
from gateway.session import cleanup, registry, warden_process

_PR_SET_CHILD_SUBREAPER = 36
_STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_TIMEOUT = 15.0
"""Seconds for sshd to listen, and for all sessions to lock."""
_PORT_ATTEMPTS = 5
_LISTENING = "Server listening on "
"""sshd logs this when it listens. A connection proves nothing: another server may have taken the port."""

log = structlog.get_logger()


class Listening(Record):
    """The address and port of sshd (port 0: a free one), and its private host key (None: one that is made)."""

    address: str = "127.0.0.1"
    port: int = 0
    host_key: Path | None = None


def run(
    directory: Path,
    at: Listening,
    keys: tuple[Path, ...],
    given: dict[str, str],
    announce: Callable[[layout.Layout, Listening], None],
) -> None:
    """Run in the foreground until SIGTERM, SIGINT or SIGHUP. Raises EncError when it cannot start, and when sshd ends.

    `keys` are public key files to authorize. `given` are settings of gateway.toml. `announce` is called with the paths,
    the address and the port once it accepts logins.
    """
    account = host.account()
    directory = directory.resolve()
    host.prepare(directory, account)
    paths = layout.Layout.at(directory, account, given)
    text = layout.config_text(paths, given)
    layout.make_directories(paths)
    with layout.held(paths):
        layout.write(paths.config, text)
        layout.make_host_key(paths, at.host_key)
        layout.add_keys(paths, keys)
        _serve(paths, at, announce)


def _serve(paths: layout.Layout, at: Listening, announce: Callable[[layout.Layout, Listening], None]) -> None:
    """Run sshd, and in a cluster what follows the other hosts, until a signal to stop."""
    signals = _Signals()
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # so that we can end what sshd leaves behind
    needed = {}
    try:
        if paths.cluster:
            needed["what follows the cluster"] = _start_follower(paths), str(paths.log.with_name(_FOLLOWER_LOG))
        pid, port = _start_sshd(paths, at)
        needed["sshd"] = os.pidfd_open(pid), str(paths.log)
        announce(paths, at.replace(port=port))
        signals.wait(needed)
    finally:
        _end(paths, needed)


_FOLLOWER_LOG = "follow.log"


def _start_follower(paths: layout.Layout) -> int:
    """Start `enc-gateway host follow`, and wait until the copy of authorized_keys is there. Returns its pidfd."""
    words = ("host", "follow", "--config", str(paths.config))
    argv = interpreter.python("gateway/__main__.py", *words)
    log_path = paths.log.with_name(_FOLLOWER_LOG)
    output = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        pid = process.spawn(argv, {1: output, 2: output}, own_group=True)
    finally:
        os.close(output)
    pidfd = os.pidfd_open(pid)
    deadline = time.monotonic() + _TIMEOUT
    fresh = paths.authorized_keys.with_name(places.FRESH)
    fresh.unlink(missing_ok=True)
    while not fresh.exists():
        if process.wait_readable(pidfd, 0.02) or time.monotonic() > deadline:
            raise Misconfigured("the cluster cannot be followed", f"{log_path} says why")
    return pidfd


def log_only_warnings() -> None:
    """For a terminal, which is no log."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))


class _Signals:
    """Waits for a signal to stop."""

    def __init__(self) -> None:
        self._reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(writer)
        for number in (*_STOPS, signal.SIGCHLD):
            if number == signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN:
                continue  # nohup(1)
            signal.signal(number, lambda *_: None)

    def wait(self, needed: Mapping[str, tuple[int, str]]) -> None:
        """Return at a signal; until then, reap children. Raises Misconfigured when one of `needed` (pidfd and log, by
        name) ends first.
        """
        poll = select.poll()
        for fd in (self._reader, *(pidfd for pidfd, _ in needed.values())):
            poll.register(fd, select.POLLIN)
        while not self._stop_requested():
            ready = {fd for fd, _ in poll.poll()}
            ended = [(name, log_path) for name, (pidfd, log_path) in needed.items() if pidfd in ready]
            if ended and not self._stop_requested():
                name, log_path = ended[0]
                raise Misconfigured(f"{name} ended unexpectedly", f"its log is {log_path}")
            if ended:
                return
            _reap_all()

    def _stop_requested(self) -> bool:
        try:
            return bool({*_STOPS} & set(os.read(self._reader, 512)))
        except BlockingIOError:
            return False


def _free_port(address: str) -> int:
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
        try:
            probe.bind((address, 0))
        except OSError as error:
            raise Misconfigured(f"nothing can listen on {address}", error.strerror) from error
        return int(probe.getsockname()[1])


def _start_sshd(paths: layout.Layout, at: Listening) -> tuple[int, int]:
    """Start sshd and wait until it listens. Returns its pid and the port."""
    attempts = 1 if at.port else _PORT_ATTEMPTS
    while True:
        attempts -= 1
        chosen = at.port or _free_port(at.address)
        layout.write(paths.sshd_config, layout.sshd_config(paths, chosen, at.address))
        layout.write(paths.ssh_config, layout.ssh_config(paths, chosen, at.address))
        try:
            return _spawn_listening(paths), chosen
        except Misconfigured:  # another process may have taken the port
            if not attempts:
                raise


def _spawn_listening(paths: layout.Layout) -> int:
    """Start sshd and wait until it listens. Returns its pid. Raises Misconfigured; sshd has ended then."""
    output = os.open(paths.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        before = os.fstat(output).st_size
        argv = [SSHD, "-D", "-e", "-f", str(paths.sshd_config)]
        pid = process.spawn(argv, {1: output, 2: output}, own_group=True)  # Ctrl-C is for us: we end it in order
    finally:
        os.close(output)
    deadline = time.monotonic() + _TIMEOUT
    while _LISTENING not in (logged := paths.log.read_bytes()[before:].decode(errors="replace")):
        ended = os.waitpid(pid, os.WNOHANG)[0]
        if ended or time.monotonic() > deadline:
            if not ended:
                os.kill(pid, signal.SIGKILL)  # our child, which nobody has waited for
                os.waitpid(pid, 0)
            lines = logged.strip().splitlines()
            raise Misconfigured(f"sshd did not start: {lines[-1] if lines else 'it logged nothing'}")
        time.sleep(0.02)
    return pid


def ready(paths: layout.Layout, port: int) -> dict[str, object]:
    """What our caller waits for, as JSON. It is a public interface (docs/protocol.md)."""
    return {
        "event": "ready",
        "port": port,
        "ssh_config": str(paths.ssh_config),
        "authorized_keys": str(paths.master),
        "audit": str(paths.audit),
        "vaults": str(paths.vaults),
        "run": str(paths.run),
        "account": paths.account.pw_name,
        "pid": os.getpid(),
    }


def _end(paths: layout.Layout, needed: Mapping[str, tuple[int, str]]) -> None:
    """Stop new logins (`needed` has sshd's pidfd), lock every session, then end the remaining processes."""
    if "sshd" in needed:
        _send(needed["sshd"][0], signal.SIGTERM)
    with privileges.account(paths.account.pw_uid, paths.account.pw_gid):
        _lock_all(str(paths.run))
    for number in (signal.SIGTERM, signal.SIGKILL):
        _signal_descendants(number)
        deadline = time.monotonic() + 3
        while _reap_all() and time.monotonic() < deadline:
            time.sleep(0.01)
    with privileges.account(paths.account.pw_uid, paths.account.pw_gid):
        _record_ends(paths)


def _lock_all(run: str) -> None:
    """Have every session lock, and wait for that. A record is the account's, and could name any process: only the
    wardens of sessions get a signal.
    """
    waiting = []
    for session in registry.live(run):
        log.info("locking", session=session.id)
        pidfd = warden_process.send(run, session, signal.SIGTERM)
        if pidfd is not None:
            waiting.append(pidfd)
    deadline = time.monotonic() + _TIMEOUT
    for pidfd in waiting:
        warden_process.has_ended(pidfd, max(0.0, deadline - time.monotonic()))
        os.close(pidfd)


def _record_ends(paths: layout.Layout) -> None:
    """Record the end of sessions that had to be killed."""
    try:
        settings, _ = loader.load_usable(str(paths.config))
        log_of = administration.log(settings.replace(paths_audit=str(paths.audit)))  # also if the file has become wrong
        cleanup.sweep(str(paths.run), log_of, "enc-gateway embedded")
    except (EncError, OSError) as error:
        log.warning("the ends of killed sessions are not recorded", error=str(error))


def _signal_descendants(number: signal.Signals) -> None:
    """Signal every descendant of ours. Each is looked up again after its pidfd is open: a pid that was given to another
    process in between is no longer a descendant's.
    """
    pidfds = {}
    for pid in _descendants():
        with contextlib.suppress(ProcessLookupError):
            pidfds[pid] = os.pidfd_open(pid)
    still = _descendants()
    for pid, pidfd in pidfds.items():
        if pid in still:
            _send(pidfd, number)
        os.close(pidfd)


def _send(pidfd: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):  # it has ended
        signal.pidfd_send_signal(pidfd, number)


def _reap_all() -> bool:
    """Reap children that have ended. Returns whether a child is left."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            continue
    except ChildProcessError:
        return False
    return True


def _descendants() -> set[int]:
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text(encoding="utf-8", errors="replace")
            except OSError:
                continue
            parents[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])
    found = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {os.getpid()}
