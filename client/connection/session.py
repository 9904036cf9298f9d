"""The connection to a gateway and the session on it: opening both, locking a project, logging out."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from typing import IO

from client.connection import control_socket, request, session_events, ssh, ssh_errors
from client.errors import EncError, Unreachable
from client.state.config import Profile
from client.state.records import Connection, State
from client.state.store import Store
from client.system import files, processes, terminal_text
from client.system.processes import Process

_OPEN_SECONDS = 60.0
"""How long the session may take to open after the connection is made. When a host of the gateway has died, its disk
answers after at most 45 s who had a session there.
"""
_SLOW_SECONDS = 7.0
"""After which the user is told that it takes long: the gateway has said why after 5."""
_ANSWER_SECONDS = 2.0
"""How long the gateway may take to lock."""
_CONTROL_SECONDS = 5.0
"""How long ssh may take to answer at its control socket."""
_LOST_SESSIONS = 8
"""How many lost sessions the state keeps."""


def is_open(store: Store, state: State) -> bool:
    """Whether the connection exists, and on it the session that it was made for."""
    connection = state.connection
    return connection is not None and processes.is_alive(connection.master) and session_events.is_channel_open(store)


def open_session(profile: Profile, store: Store) -> Connection:
    """Connect and open a session. The caller holds the lock `login` and records the result. Raises what prevents it."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(store.socket)
    with _new_locked(store.events) as out, _new_locked(store.errors) as err:
        status = ssh.start_master(profile, store, out, err)
    with open(store.errors, encoding="utf-8", errors="replace") as file:
        messages = file.read()
    if status:
        raise ssh_errors.explain(messages, profile.called)
    pid = control_socket.master_pid(store, _CONTROL_SECONDS)
    try:
        return _wait_until_open(profile, store, pid, messages)
    except BaseException:
        processes.end(_process(pid))
        raise


def _wait_until_open(profile: Profile, store: Store, pid: int | None, messages: str) -> Connection:
    began, told = time.monotonic(), False
    while (waited := time.monotonic() - began) < _OPEN_SECONDS:
        master = _process(pid)
        for event in session_events.read(store):
            if event["event"] == "session" and master:
                return Connection(profile.host, master, str(event["session"]))
            if event["event"] == "failed" or "error" in event:
                raise request.refused(event, 75)
        if not processes.is_alive(master):
            raise ssh_errors.explain(messages, profile.called)
        if waited > _SLOW_SECONDS and not told:
            told = True
            what = f"{profile.called} has not opened a session yet: waiting for at most {_OPEN_SECONDS:.0f} s"
            print(terminal_text.in_one_line(f"{what}; Ctrl-C ends it"), file=sys.stderr)
        time.sleep(0.01)
    raise Unreachable(f"{profile.called} opens no session", "try again later")


def _process(pid: int | None) -> Process | None:
    return None if pid is None else processes.find(pid)


@contextlib.contextmanager
def _new_locked(path: str) -> Iterator[IO[bytes]]:
    """A new empty file at `path`, because an ssh that is just ending may still write to the old one.

    It is locked while any process has it open, ssh included: that is how `session_events.is_channel_open` knows.
    """
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
    files.lock(fd)
    with os.fdopen(fd, "wb") as file:
        yield file


def lock(store: Store, project: str) -> bool:
    """Have the gateway lock the project; whether it is locked now, by this or before."""
    return _request_end(store, "unmount", project)


def close(store: Store) -> bool:
    """Log out and close the connection; whether the gateway confirmed that everything is locked."""
    state = store.read()
    if state.connection is None:
        return True
    confirmed = _request_end(store, "logout")
    processes.end(state.connection.master, grace=0.3)
    forget(store, state)
    return confirmed


def _request_end(store: Store, *words: str) -> bool:
    try:
        request.send(store, *words, seconds=_ANSWER_SECONDS)
    except EncError as error:
        return error.slug in ("not-unlocked", "no-such-project")  # which it is to who is no member any more
    return True


def forget(store: Store, seen: State) -> None:
    """Kill the ssh of the connection in `seen`, and remove its record and its socket."""
    if seen.connection:
        processes.end(seen.connection.master)

    def without(now: State) -> State:
        if now.connection is None or now.connection != seen.connection:
            return now
        return now._replace(connection=None, lost=(*now.lost, now.connection.session)[-_LOST_SESSIONS:])

    store.change(without)
    if store.read().connection is None:
        with contextlib.suppress(OSError):
            os.unlink(store.socket)
