"""The monitor of one mount: every 3 s it checks that the mount exists, is the one that enc made, and answers.

It reads the mount table, which never blocks, and lets a child process call statvfs on the mount. No cache answers
statvfs, and the gateway does not count it as activity: an answer has come through sshfs and the connection from a view
on the gateway. That it is the view of our session, and that the gateway can still be told to lock it, follows from two
more checks: the session's channel is open, and ssh answers at its control socket. A child that gets no answer may hang
in the kernel, so nobody waits for it. When a check fails, the monitor kills sshfs, unmounts, has the gateway lock the
project, and tells the user once.
"""

from __future__ import annotations

import os
import time
from typing import NamedTuple

from client.background import launcher, notification
from client.connection import session, session_events
from client.errors import DamagedState
from client.mount import entries, probe, teardown
from client.state.records import Mount, State, Terminal
from client.state.store import Store
from client.state.terminal import has_ended
from client.system import processes
from client.system.pidfd_poll import PidfdPoll

_INTERVAL = 3.0
"""Seconds between two checks when nothing happens."""
_RETRY_SECONDS = 3.0
"""Seconds between attempts to end a mount that no other process is ending."""
_WATCHDOG_SECONDS = 1.0
"""How long the watchdog may take before the monitor itself ends the terminal."""


_REASON_SECONDS = 1.0
"""How long the gateway may take to say why it ended a session whose end we have seen already."""


class _Fault(NamedTuple):
    """What is wrong, for the user. `locked`: the gateway has reported that it locked the project.

    `ended`: nothing can be read through the mount any more, and it may have been the gateway that ended it.
    """

    message: str
    locked: bool = False
    ended: bool = False


def run(directory: str, project: str) -> None:
    """Monitor the mount until it is gone."""
    store = Store(directory, must_exist=True)
    state = store.read()
    first = state.mounts.get(project)
    try:
        while first and (mount := store.read().current(first)):
            state = store.read()
            _check(store, mount, state)
    except DamagedState as lost:
        teardown.end_unrecorded(state, [first] if first else [])
        terminal = state.terminals.get(first.terminal) if first else None
        notification.send(terminal, f"{project} was unmounted: {lost}")


def _check(store: Store, mount: Mount, state: State) -> None:
    terminal = state.terminals.get(mount.terminal)
    if mount.ending:
        _wait_for_end(store, mount)
    elif terminal is None or has_ended(terminal):
        _end_terminal(store, mount, terminal)
    elif fault := _fault(store, mount, state):
        _end_mount(store, mount, state, fault)
    else:
        launcher.start_watchdog(store, terminal.id)  # it may have been killed
        _sleep(mount, terminal, state)


def _sleep(mount: Mount, terminal: Terminal, state: State) -> None:
    """Wait for the next check, or for the end of a process that the mount needs."""
    master = state.connection.master if state.connection else None
    poll = PidfdPoll([mount.sshfs, master, *terminal.followed])
    try:
        poll.wait(_INTERVAL)
    finally:
        poll.close()


def _wait_for_end(store: Store, mount: Mount) -> None:
    """Let another process end the mount. End it here when that process is gone, or when a cover prevented it so far."""
    deadline = time.monotonic() + _RETRY_SECONDS
    while (now := store.read().current(mount)) and now.ending:  # cleared after an attempt that failed
        busy = now.ending.pid != os.getpid() and processes.is_alive(now.ending)
        if not busy and time.monotonic() > deadline:
            teardown.end_mount(store, mount)
            return
        time.sleep(0.2)


def _end_terminal(store: Store, mount: Mount, terminal: Terminal | None) -> None:
    """The terminal has ended. Its watchdog, if it is alive, has the first chance to do what has to be done."""
    deadline = time.monotonic() + _WATCHDOG_SECONDS
    while terminal and processes.is_alive(terminal.watchdog) and time.monotonic() < deadline:
        if not store.read().current(mount):
            return
        time.sleep(0.05)
    if terminal:
        teardown.end_terminal(store, terminal.id)
    if store.read().current(mount):
        teardown.end_mount(store, mount)


def _fault(store: Store, mount: Mount, state: State) -> _Fault | None:
    """The first check that fails; None when all succeed."""
    if why := session_events.why_locked(store, mount.project):
        return _Fault(why, locked=True)
    if ended := _end(store, mount, state):
        return _Fault(ended, ended=True)
    if not (message := _damage(store, mount, state)):
        return None
    if ended := _end(store, mount, state):  # during the check, which failed because of it
        return _Fault(ended, ended=True)
    return _Fault(message)


def _end(store: Store, mount: Mount, state: State) -> str:
    """Which part of the mount has ended; "" for none. When the gateway ends a session, each of them does; ssh that is
    killed closes the session's channel before it has ended.
    """
    is_open = session_events.is_channel_open(store)
    if state.connection is None or not processes.is_at_work(state.connection.master):
        return "the connection to the gateway has closed"
    if not processes.is_alive(mount.sshfs):
        return "sshfs has ended"
    if entries.find(mount) is None:
        return "another program unmounted it"
    if not is_open:
        return "its session on the gateway has ended"
    return ""


def _damage(store: Store, mount: Mount, state: State) -> str:
    """What is wrong with a mount all of whose parts are there; "" for nothing."""
    if state.connection is None:
        return _end(store, mount, state)
    if displaced := _displacement(mount):
        return displaced
    fault = probe.fault(store, mount, state.connection.master.pid)
    return fault and (_displacement(mount) or fault)  # a mount that was covered meanwhile gave no answer either


def _displacement(mount: Mount) -> str:
    """What somebody did to its place in the mount table; "" for nothing, also when it is gone."""
    entry = entries.find(mount)
    if entry is None:
        return ""
    if entry.path != mount.directory:
        return "its directory was moved"
    if entries.mounted_on(mount):
        return "another file system was mounted over it or inside it"
    if entries.copies(mount):
        return "it was also mounted at another place"
    return ""


def _end_mount(store: Store, mount: Mount, state: State, fault: _Fault) -> None:
    """Unmount by force and tell the user. If the connection does not answer either, end it too."""
    now = store.read().current(mount)
    if now is None or now.ending:  # another process began to end it during the check
        return
    if fault.ended and (why := session_events.wait_for_reason(store, mount.project, _REASON_SECONDS)):
        fault = _Fault(why, locked=True)
    confirmed = teardown.end_mount(store, mount, seconds=0)
    if not confirmed and state.connection:
        session.forget(store, state)
    if not fault.locked and (why := session_events.why_locked(store, mount.project, asked=True)):
        fault = _Fault(why, locked=True)
    left = session_events.is_left(store, mount.project)
    notification.send(state.terminals.get(mount.terminal), _report(mount, fault, confirmed, left))


def _report(mount: Mount, fault: _Fault, confirmed: bool, left: bool) -> str:
    """What the user is told. `confirmed`: the gateway has answered our request to lock. `left`: it did not lock it for
    all who have it.
    """
    unknown = "the gateway did not answer; it will lock the project within 20 s"
    known = "it is locked for you, and not for others who have it" if left else "it is locked"
    end = known if fault.locked or confirmed else unknown
    words = f"{mount.project} is no longer mounted at {mount.directory}: {fault.message}; {end}"
    if fault.message.startswith(session_events.IDLE):
        words += f". Text in an editor is not lost: `enc mount {mount.project}`, then save"
    return words
