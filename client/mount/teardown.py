"""Ending mounts and terminals, and cleaning up what a crash left.

Every step can be repeated, and two processes can do it at once: watchdog and monitors act on the same end of a
terminal, and either can be killed at any point. A record is removed last, after what it describes is gone.
"""

from __future__ import annotations

import contextlib
import os

from client.connection import session
from client.mount import entries, hidden_files, mount_point, unmount
from client.state.records import DETACHED, Mount, State, Terminal
from client.state.store import Store
from client.state.terminal import has_ended
from client.system import names, processes
from client.system.processes import Process

_AT_TERMINAL_END = 0.6
"""Seconds for writing back when a terminal has ended."""
_REMOVE_SECONDS = 1.0
"""For finding what a killed sshfs would have removed, and for removing it."""
ON_REQUEST = 10.0
"""Seconds for writing back when the user waits for it."""


def end_mount(store: Store, mount: Mount, seconds: float = _AT_TERMINAL_END, lock: bool = True) -> bool:
    """Unmount and have the gateway lock the project; whether the gateway confirmed the lock.

    Unmounts by force if writing back takes longer than `seconds`, at once for 0. One process at a time, and only while
    the mount is recorded: the kernel reuses the ids of a mount that is gone.
    """
    with contextlib.suppress(OSError):  # a full tmpfs does not prevent unmounting
        _set_ending(store, mount, processes.of(os.getpid()))
    with store.lock(f"end-{names.in_file_name(mount.project)}"):
        if not store.read().current(mount):  # another process has ended it
            return True
        gone = bool(seconds) and unmount.gracefully(mount, seconds)
        if not gone:
            hidden_files.note(store, mount)
            # 0: what is behind it does not answer
            hidden = hidden_files.open_in(mount, _REMOVE_SECONDS) if seconds else []
            gone = unmount.by_force(mount)
            hidden_files.remove(store, mount.project, hidden, _REMOVE_SECONDS)
        processes.end(mount.sshfs)
        if gone:
            mount_point.remove_if_made(mount.directory, mount.made)
        locked = lock and session.lock(store, mount.project)
        if gone:
            store.change(lambda now: now.without_mount(mount.project))
    return locked


def end_mount_if_unused(store: Store, mount: Mount, seconds: float) -> bool:
    """Unmount and lock. When a program uses the mount, change nothing and return False."""
    _set_ending(store, mount, processes.of(os.getpid()))
    if not store.read().current(mount):
        return True
    if unmount.gracefully(mount, seconds):
        return end_mount(store, mount)
    _set_ending(store, mount, None)
    return False


def _set_ending(store: Store, mount: Mount, by: Process | None) -> None:
    """Record who unmounts it, so that its monitor does not report a fault."""

    def marked(now: State) -> State:
        known = now.current(mount)
        return now.with_mount(known._replace(ending=by)) if known else now

    store.change(marked)


def end_terminal(store: Store, id_: str, seconds: float = _AT_TERMINAL_END) -> None:
    """Unmount and lock what belongs to the terminal. With the last terminal, close the session and the connection."""
    state = store.read()
    last = not [other for other in state.terminals.values() if other.id != id_ and needs_connection(state, other)]
    for mount in state.mounts_of(id_):
        end_mount(store, mount, seconds, lock=not last)
    store.change(lambda now: now.without_terminal(id_))
    if last:
        session.close(store)
    watchdog = state.terminals[id_].watchdog if id_ in state.terminals else None
    if watchdog and watchdog.pid != os.getpid():
        processes.send_sigterm(watchdog)


def needs_connection(state: State, terminal: Terminal) -> bool:
    """Whether the connection stays open for this terminal. The detached one needs it only while it has mounts."""
    return terminal.id != DETACHED or bool(state.mounts_of(DETACHED))


def end_unrecorded(known: State, mounts: list[Mount]) -> None:
    """End `mounts` and the connection after the state file was lost. The gateway locks when the connection ends."""
    for mount in mounts:
        if unmount.by_force(mount):
            mount_point.remove_if_made(mount.directory, mount.made)
    if known.connection:
        processes.end(known.connection.master)


def end_abandoned(store: Store, mount: Mount) -> None:
    """Undo a mount that was not finished because the enc process that was making it has ended."""
    if processes.is_alive(mount.owner) or not store.read().current(mount):  # it may have been finished just before
        return
    processes.send_sigterm(mount.sshfs)
    processes.end(mount.sshfs, grace=1.0)  # sshfs unmounts at SIGTERM
    unmount.left_by_killed(mount)
    mount_point.remove_if_made(mount.directory, mount.made)
    store.change(lambda now: now.without_mount(mount.project) if now.current(mount) else now)


def clean_up(store: Store) -> None:
    """End what belongs to terminals that have ended, or to a lost connection. The caller holds the lock `login`."""
    state = store.read()
    for id_, terminal in state.terminals.items():
        if has_ended(terminal):
            end_terminal(store, id_)
    state = store.read()
    if state.connection and not session.is_open(store, state):
        session.forget(store, state)
        state = store.read()
    for mount in state.mounts.values():
        if mount.mount_id == 0:
            end_abandoned(store, mount)
        elif mount.ending and processes.is_alive(mount.ending):
            continue
        elif state.connection is None or entries.find(mount) is None or mount.ending:
            end_mount(store, mount, seconds=0, lock=False)
        elif mount.terminal not in state.terminals:
            end_mount(store, mount)
