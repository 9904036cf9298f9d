"""The connection to a gateway and the session on it: joined by a terminal, made by the first one."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from typing import Any

from client.background import dead_man_switch
from client.connection import session_events, ssh
from client.errors import Unreachable
from client.mount import teardown
from client.state.config import Profile
from client.state.store import DETACHED, Connection, State, Store, Terminal
from client.system import processes
from client.system.linux import name_of
from client.system.processes import Process

_PATIENCE = 20.0
"""Seconds for a session to open once the connection is there."""


def this_terminal() -> Terminal:
    """The terminal that we were called from: our parent's, be it a shell or a script, and its session leader's."""
    followed = []
    for pid in dict.fromkeys((os.getppid(), os.getsid(0))):
        with contextlib.suppress(ProcessLookupError):
            if pid != os.getpid():
                followed.append(processes.of(pid))
    first = followed[0] if followed else processes.of(1)
    return Terminal(id=f"{first.pid}-{first.start}", followed=tuple(followed), tty=_tty())


def myself() -> Terminal:
    """For `enc open`: this very process is the terminal."""
    me = processes.of(os.getpid())
    return this_terminal()._replace(id=f"{me.pid}-{me.start}", followed=(me, *this_terminal().followed))


def nobody() -> Terminal:
    """For --detach: a terminal that never ends."""
    return Terminal(id=DETACHED, followed=(), tty="")


def _tty() -> str:
    for fd in (2, 1, 0):
        with contextlib.suppress(OSError):
            return os.ttyname(fd)
    return ""


def describe(terminal: Terminal) -> str:
    """How to call a terminal before a person."""
    if not terminal.followed:
        return "until you unmount it"
    shell = terminal.followed[0]
    return f"as long as {name_of(shell.pid)} ({shell.pid}) lives"


def join(profile: Profile, store: Store, terminal: Terminal) -> tuple[Connection, bool]:
    """The connection, made when there is none, with `terminal` belonging to it and its watchdog running.

    Also whether it was made now. Raises what keeps it from being made.
    """
    with store.lock("login"):
        teardown.sweep(store)
        connection = store.read().connection
        made = connection is None
        if connection is None:
            connection = _connect(profile, store)
        _enter(store, terminal, connection)
    return connection, made


def _enter(store: Store, terminal: Terminal, connection: Connection) -> None:
    """Make `terminal` one of the store's."""

    def entered(now: State) -> State:
        known = now.terminals.get(terminal.id)
        return now._replace(connection=connection).with_terminal(known or terminal)

    store.change(entered)
    start_watchdog(store, terminal.id)


def start_watchdog(store: Store, id_: str) -> None:
    """See that the terminal, if it has not left, has a watchdog that lives; one, whoever else does this meanwhile."""
    with store.lock("start"):
        known = store.read().terminals.get(id_)
        if known is None or processes.alive(known.watchdog):
            return
        with dead_man_switch.held(store) as pipe:
            started = processes.start_background("watchdog", store.directory, id_, keeping=pipe)

        def recorded(now: State) -> State:
            there = now.terminals.get(id_)
            return now.with_terminal(there._replace(watchdog=started)) if there else now

        store.change(recorded)


def _connect(profile: Profile, store: Store) -> Connection:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(store.socket)
    with _fresh(store.events) as out, _fresh(store.errors) as err:
        status = ssh.start_master(profile, store, out, err)
    with open(store.errors, encoding="utf-8", errors="replace") as file:
        said = file.read()
    if status:
        raise ssh.failure(said, profile.host)
    pid = ssh.master_pid(store)
    deadline = time.monotonic() + _PATIENCE
    try:
        while time.monotonic() < deadline:
            for event in session_events.spoken(store):
                if event["event"] == "session" and pid:
                    return Connection(profile.host, processes.of(pid), str(event["session"]))
                if event["event"] == "failed" or "error" in event:
                    raise ssh.refused(event, 75)
            if pid is None or not processes.alive(_maybe(pid)):
                raise ssh.failure(said, profile.host)
            time.sleep(0.01)
        raise Unreachable(f"{profile.host} opens no session", "try again later")
    except BaseException:
        if pid is not None:
            processes.end(_maybe(pid))
        raise


def _maybe(pid: int) -> Process | None:
    try:
        return processes.of(pid)
    except ProcessLookupError:
        return None


@contextlib.contextmanager
def _fresh(path: str) -> Iterator[Any]:
    """An empty file. A new one, because an ssh that is just ending may still write to the old one.

    It is locked for as long as anybody has it open, which tells when the session's channel is closed.
    """
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
    fcntl.flock(fd, fcntl.LOCK_EX)
    with os.fdopen(fd, "wb") as file:
        yield file
