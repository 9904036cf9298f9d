"""Taking away what there is: a mount, what belongs to a terminal, a connection. And sweeping what a crash left.

Every step may be done twice, and by two processes at once: watchdog and monitors act on the same end of a terminal,
and either may be killed half-way. A record goes last, when what it stands for is gone.
"""

from __future__ import annotations

import contextlib
import os

from client.connection import session_events, ssh
from client.errors import EncError
from client.mount import mount_point, sshfs
from client.state.store import DETACHED, Mount, State, Store, Terminal
from client.system import processes
from client.system.processes import Process

_GENTLE = 0.6
"""Seconds for an unmount that writes back, when a terminal has ended."""
WHEN_ASKED = 10.0
"""The same, when somebody waits for it."""
_REMEMBERED = 8
"""Lost sessions."""
_ANSWER = 2.0
"""Seconds for the gateway to lock."""


def end_mount(store: Store, mount: Mount, gentle: float = _GENTLE, lock_it: bool = True) -> bool:
    """Unmount, by force if need be, and have the gateway lock the project; whether the gateway said that it did.

    One at a time, and only while the mount is recorded: the kernel gives the ids of one that is gone to a later one.
    """
    with contextlib.suppress(OSError):  # no room for a mark is no reason to leave a mount
        _mark(store, mount, processes.of(os.getpid()))
    with store.lock(f"end-{mount.project}"):
        if not _is(store.read(), mount):  # somebody else did it all
            return True
        gone = bool(gentle and sshfs.unmount_gently(mount, gentle)) or sshfs.unmount_by_force(mount)
        processes.end(mount.sshfs)
        if gone:
            mount_point.tidy(mount.directory, mount.made)
        locked = lock_it and lock(store, mount.project)
        if gone:
            store.change(lambda now: now.without_mount(mount.project))
    return locked


def end_mount_if_unused(store: Store, mount: Mount, seconds: float) -> bool:
    """Unmount and lock, unless a program uses it: then nothing is changed, and False."""
    _mark(store, mount, processes.of(os.getpid()))
    if not _is(store.read(), mount):
        return True
    if sshfs.unmount_gently(mount, seconds):
        return end_mount(store, mount)
    _mark(store, mount, None)
    return False


def _mark(store: Store, mount: Mount, by: Process | None) -> None:
    """Tell the monitor who ends this mount, in order."""
    store.change(lambda now: now.with_mount(now.mounts[mount.project]._replace(ending=by)) if _is(now, mount) else now)


def _is(state: State, mount: Mount) -> bool:
    """Whether the state still has this very mount, and not a later one of the same project."""
    known = state.mounts.get(mount.project)
    return known is not None and (known.mount_id, known.owner) == (mount.mount_id, mount.owner)


def lock(store: Store, project: str) -> bool:
    """Have the project locked; also true when the gateway has locked it already."""
    try:
        ssh.ask(store, "unmount", project, seconds=_ANSWER)
    except EncError as error:
        return error.slug == "not-unlocked"
    return True


def end_terminal(store: Store, id_: str, gentle: float = _GENTLE) -> None:
    """Unmount and lock what belongs to the terminal; the last one closes the session and the connection."""
    state = store.read()
    last = not [other for other in state.terminals.values() if other.id != id_ and holds(state, other)]
    for mount in state.mounts_of(id_):
        end_mount(store, mount, gentle, lock_it=not last)
    store.change(lambda now: now.without_terminal(id_))
    if last:
        end_connection(store)
    watchdog = state.terminals[id_].watchdog if id_ in state.terminals else None
    if watchdog and watchdog.pid != os.getpid():
        processes.tell(watchdog)


def holds(state: State, terminal: Terminal) -> bool:
    """Whether a terminal is a reason to keep the connection."""
    return terminal.id != DETACHED or bool(state.mounts_of(DETACHED))


def end_connection(store: Store) -> bool:
    """Log out and close the connection; whether the gateway said that everything is locked."""
    state = store.read()
    if state.connection is None:
        return True
    try:
        ssh.ask(store, "logout", seconds=_ANSWER)
        said = True
    except EncError as error:
        said = error.slug == "not-unlocked"
    processes.end(state.connection.master, grace=0.3)
    forget_connection(store, state)
    return said


def end_unrecorded(known: State, mounts: list[Mount]) -> None:
    """End `mounts`, and the connection, when the record of them is lost: the gateway locks what ends with it."""
    for mount in mounts:
        if sshfs.unmount_by_force(mount):
            mount_point.tidy(mount.directory, mount.made)
    if known.connection:
        processes.end(known.connection.master)


def forget_connection(store: Store, seen: State) -> None:
    """Drop the record of the connection that `seen` has, once its ssh has ended."""
    if seen.connection:
        processes.end(seen.connection.master)

    def forget(now: State) -> State:
        if now.connection is None or now.connection != seen.connection:
            return now
        return now._replace(connection=None, lost=(*now.lost, now.connection.session)[-_REMEMBERED:])

    store.change(forget)
    if store.read().connection is None:
        with contextlib.suppress(OSError):
            os.unlink(store.socket)


def is_connected(store: Store, state: State) -> bool:
    """Whether there is a connection, and on it still the session that it was made for."""
    return state.connection is not None and processes.alive(state.connection.master) and session_events.is_open(store)


def ended(terminal: Terminal) -> bool:
    """Whether the terminal is no more: one of those followed has ended."""
    return not all(processes.alive(process) for process in terminal.followed)


def sweep(store: Store) -> None:
    """Clear away what nobody looks after any more. The caller holds the lock `login`."""
    state = store.read()
    for id_, terminal in state.terminals.items():
        if ended(terminal):
            end_terminal(store, id_)
    state = store.read()
    if state.connection and not is_connected(store, state):
        forget_connection(store, state)
        state = store.read()
    for mount in state.mounts.values():
        if mount.mount_id == 0:
            end_if_abandoned(store, mount)
        elif mount.ending and processes.alive(mount.ending):
            continue
        elif state.connection is None or sshfs.entry_of(mount) is None or mount.ending:
            end_mount(store, mount, gentle=0, lock_it=False)
        elif mount.terminal not in state.terminals:
            end_mount(store, mount)


def end_if_abandoned(store: Store, mount: Mount) -> None:
    """A mount that was being made: undone, when the `enc` that made it is no more."""
    if processes.alive(mount.owner):
        return
    processes.tell(mount.sshfs)
    processes.end(mount.sshfs, grace=1.0)  # at a SIGTERM it unmounts, which nobody else can: we do not know the id
    mount_point.tidy(mount.directory, mount.made)
    store.change(lambda now: now.without_mount(mount.project) if _is(now, mount) else now)
