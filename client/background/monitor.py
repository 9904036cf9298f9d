"""The monitor of one mount: every 3 s, is it there, is it the one that was made, does it answer?

It asks the mount table, which never blocks, and has a child ask the mount itself for its size (statvfs, which no cache
answers and the gateway does not count as activity): an answer has come through sshfs, the connection and a session
from a view. That it is still our session, and that it can still be told to lock, is seen here: its channel is open, and
ssh answers at its control socket. A child that gets no answer may be stuck in the kernel; it is left behind, never
waited for. When something is wrong: kill sshfs, unmount, have the gateway lock, say so once.
"""

from __future__ import annotations

import os
import time

from client.background import notification
from client.connection import session, session_events
from client.errors import DamagedState
from client.mount import probe, sshfs, teardown
from client.state.store import Mount, State, Store, Terminal
from client.system import processes
from client.system.pidfd_poll import Ends

EVERY = 3.0
_ENDING = 3.0
"""Seconds between attempts at what is left of a mount that nobody else is ending."""


def run(directory: str, project: str) -> None:
    """Look after the mount until it is gone."""
    store = Store(directory, known=True)
    state = store.read()
    first = state.mounts.get(project)
    try:
        while first and (mount := _still(store, first)):
            state = store.read()
            _look(store, mount, state)
    except DamagedState as lost:
        teardown.end_unrecorded(state, [first] if first else [])
        notification.tell(state.terminals.get(first.terminal) if first else None, f"{project} was unmounted: {lost}")


def _look(store: Store, mount: Mount, state: State) -> None:
    terminal = state.terminals.get(mount.terminal)
    if mount.ending:
        _let_end(store, mount)
    elif terminal is None or teardown.ended(terminal):
        _end_terminal(store, mount, terminal)
    elif fault := _fault(store, mount, state):
        _end_after(store, mount, state, fault)
    else:
        session.start_watchdog(store, terminal.id)  # it may have been killed
        _sleep(mount, terminal, state)


def _still(store: Store, first: Mount) -> Mount | None:
    """Our mount as it is recorded now; None when it is not, or a later one of the same project is."""
    now = store.read().mounts.get(first.project)
    return now if now and (now.mount_id, now.owner) == (first.mount_id, first.owner) else None


def _sleep(mount: Mount, terminal: Terminal, state: State) -> None:
    master = state.connection.master if state.connection else None
    ends = Ends([mount.sshfs, master, *terminal.followed])
    try:
        ends.wait(EVERY)
    finally:
        ends.close()


def _let_end(store: Store, mount: Mount) -> None:
    """Somebody ends it; or whoever did is gone, or it is dead beneath something else: then try what is left to do."""
    deadline = time.monotonic() + _ENDING
    while (now := _still(store, mount)) and now.ending:  # an attempt that failed unmarks it
        busy = now.ending.pid != os.getpid() and processes.alive(now.ending)
        if not busy and time.monotonic() > deadline:
            teardown.end_mount(store, mount)
            return
        time.sleep(0.2)


def _end_terminal(store: Store, mount: Mount, terminal: Terminal | None) -> None:
    """The terminal is gone. Its watchdog, if it lives, has a second for what is to be done."""
    deadline = time.monotonic() + 1.0
    while terminal and processes.alive(terminal.watchdog) and time.monotonic() < deadline:
        if not _still(store, mount):
            return
        time.sleep(0.05)
    if terminal:
        teardown.end_terminal(store, terminal.id)
    if _still(store, mount):
        teardown.end_mount(store, mount)


def _fault(store: Store, mount: Mount, state: State) -> str:
    """The first thing that is not as it should be, in words; "" when all is well."""
    entry = sshfs.entry_of(mount)
    if why := session_events.why_locked(store, mount.project):
        return why
    if state.connection is None or not processes.alive(state.connection.master):
        return "the connection has ended"
    if entry is None:
        return "it was unmounted by something else than enc"
    if not processes.alive(mount.sshfs):
        return "sshfs has ended"
    if not session_events.is_open(store):
        return "its session on the gateway has ended"
    if entry.path != mount.directory:
        return "its directory was moved away"
    if sshfs.upon(mount):
        return "another file system was mounted over it, or into it"
    if sshfs.elsewhere(mount):
        return "somebody mounted it at another place as well"
    return probe.fault(store, mount, state.connection.master.pid)


def _end_after(store: Store, mount: Mount, state: State, fault: str) -> None:
    """Take the mount away by force and say so. A connection that does not answer either goes with it."""
    now = _still(store, mount)
    if now is None or now.ending:  # it was being ended in order while we looked
        return
    terminal = state.terminals.get(mount.terminal)
    reached = teardown.end_mount(store, mount, gentle=0)
    end = "the gateway has locked it"
    if not reached:
        end = "the gateway could not be reached, and locks it by itself within 20 s"
        if state.connection:
            teardown.forget_connection(store, state)
    notification.tell(terminal, f"{mount.project} is no longer at {mount.directory}: {fault}; {end}")
