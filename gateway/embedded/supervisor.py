"""Running the embedded gateway: start sshd, say when it is ready, and end all of it."""

from __future__ import annotations

import ctypes
import os
import select
import signal
import socket
import sys
import time
from pathlib import Path

import structlog

from gateway.base import json, privileges, process
from gateway.embedded import host, layout
from gateway.errors import Misconfigured
from gateway.host import sshd
from gateway.session import registry

_PR_SET_CHILD_SUBREAPER = 36
_PATIENCE = 15.0
_TRIES = 5
_LISTENS = "Server listening on "
"""What sshd logs when it does: another one may answer at a port that it did not get."""

log = structlog.get_logger()


def run(directory: Path, port: int, keys: tuple[Path, ...], given: dict[str, str]) -> None:
    """Run in the foreground until SIGTERM or SIGINT. Raises EncError when it cannot start.

    `port` 0 takes a free one; `keys` are public key files to authorize; `given` are settings of gateway.toml.
    """
    account = host.account()
    directory = directory.resolve()
    host.prepare(directory, account)
    plan = layout.Layout.at(directory, account)
    text = layout.settings(plan, given)
    layout.make(plan)
    layout.write(plan.config, text)
    layout.make_host_key(plan)
    layout.add_keys(plan, keys)
    stopping = _Signals()
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # orphans of sshd come to us, so we can end them
    listener, port = _start_sshd(plan, port)
    try:
        _announce(plan, port)
        stopping.wait(listener)
    finally:
        _end(plan, listener)


class _Signals:
    """SIGTERM and SIGINT as something to wait for."""

    def __init__(self) -> None:
        self._reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(writer)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)

    def wait(self, child: int) -> None:
        """Return at a signal, and reap what ends until then. Raises Misconfigured when `child` ends before."""
        handle = os.pidfd_open(child)
        poll = select.poll()
        for fd in (self._reader, handle):
            poll.register(fd, select.POLLIN)
        try:
            while not self._called_to_end():
                if any(fd == handle for fd, _ in poll.poll()):
                    raise Misconfigured("sshd ended by itself", "its log is log/sshd.log")
                _reap_all()
        finally:
            os.close(handle)

    def _called_to_end(self) -> bool:
        try:
            return bool({signal.SIGTERM, signal.SIGINT} & set(os.read(self._reader, 512)))
        except BlockingIOError:
            return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _start_sshd(plan: layout.Layout, port: int) -> tuple[int, int]:
    """Start sshd on `port`, or, for 0, on a free one, and wait until it listens: its pid, and the port."""
    tries = 1 if port else _TRIES
    while True:
        tries -= 1
        chosen = port or _free_port()
        layout.write(plan.sshd_config, layout.sshd_config(plan, chosen))
        layout.write(plan.ssh_config, layout.ssh_config(plan, chosen))
        try:
            return _listening(plan), chosen
        except Misconfigured:  # perhaps somebody else was quicker to take the port
            if not tries:
                raise


def _listening(plan: layout.Layout) -> int:
    """Start sshd and wait until it listens; its pid. Raises Misconfigured, and then it runs no more."""
    output = os.open(plan.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        before = os.fstat(output).st_size
        pid = process.spawn([sshd.PROGRAM, "-D", "-e", "-f", str(plan.sshd_config)], {1: output, 2: output})
    finally:
        os.close(output)
    deadline = time.monotonic() + _PATIENCE
    while _LISTENS not in (said := plan.log.read_bytes()[before:].decode(errors="replace")):
        ended = os.waitpid(pid, os.WNOHANG)[0]
        if ended or time.monotonic() > deadline:
            if not ended:
                _signal(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            lines = said.strip().splitlines()
            raise Misconfigured(f"sshd did not start: {lines[-1] if lines else 'it said nothing'}")
        time.sleep(0.02)
    return pid


def _announce(plan: layout.Layout, port: int) -> None:
    """The line that whoever started us waits for: part of the public interface (docs/protocol.md)."""
    ready = {
        "event": "ready",
        "port": port,
        "ssh_config": str(plan.ssh_config),
        "authorized_keys": str(plan.authorized_keys),
        "audit": str(plan.audit),
        "vaults": str(plan.vaults),
        "run": str(plan.run),
        "account": plan.account.pw_name,
        "pid": os.getpid(),
    }
    sys.stdout.write(json.dumps(ready) + "\n")
    sys.stdout.flush()


def _end(plan: layout.Layout, listener: int) -> None:
    """No new logins, then every session locks, then whatever is left."""
    _signal(listener, signal.SIGTERM)
    with privileges.account(plan.account.pw_uid, plan.account.pw_gid):
        _lock_all(str(plan.run))
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in _descendants():
            _signal(pid, number)
        deadline = time.monotonic() + 3
        while _reap_all() and time.monotonic() < deadline:
            time.sleep(0.01)


def _lock_all(run: str) -> None:
    """Ask every session to lock, and wait for that. A record is the account's, and could name any process."""
    ours = _descendants()
    for session in registry.live(run):
        log.info("locking", session=session.id)
        if session.pid in ours:
            _signal(session.pid, signal.SIGTERM)
    deadline = time.monotonic() + _PATIENCE
    while registry.live(run) and time.monotonic() < deadline:
        time.sleep(0.02)


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _reap_all() -> bool:
    """Reap what has ended; whether a child is left."""
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
