"""The watchdog of one terminal: when its shell ends, however it ends, so does what belongs to the terminal.

It follows the shell by pidfd. It also starts a monitor again that was killed, has what the gateway warns of said on the
terminal, and, where logind is on the system bus, ends everything before the machine sleeps.
"""

from __future__ import annotations

import functools
from typing import Any

from client.background import dead_man_switch, notification
from client.background.sleep_inhibitor import SleepSignal
from client.connection import session, session_events
from client.errors import DamagedState
from client.mount import teardown
from client.state.store import Mount, State, Store, Terminal
from client.system import processes
from client.system.pidfd_poll import Ends
from client.system.processes import Process

EVERY = 3.0


def run(directory: str, id_: str) -> None:
    """Follow the terminal until it is gone, or has logged out."""
    store = Store(directory, known=True)
    state = store.read()
    terminal = state.terminals.get(id_)
    if terminal is None:
        return
    sleep = SleepSignal()
    ends = Ends(terminal.followed)
    heard = len(session_events.spoken(store))
    had_mounts = False
    try:
        while id_ in (state := store.read()).terminals:
            if teardown.ended(terminal):
                teardown.end_terminal(store, id_)
                return
            if sleep.is_near():
                teardown.end_terminal(store, id_)
                notification.tell(terminal, "everything is locked: this machine is going to sleep")
                return
            heard = _pass_on(store, terminal, heard)
            if _is_over(store, terminal):
                teardown.end_terminal(store, id_)
                if not had_mounts:  # else its monitor has said so
                    notification.tell(terminal, "the connection has ended; `enc login` makes a new one")
                return
            had_mounts = bool(store.read().mounts_of(id_))
            start_monitors(store, id_)
            _start_watchdogs(store, state)
            ends.wait(EVERY, *sleep.descriptors)
    except DamagedState as lost:
        teardown.end_unrecorded(state, state.mounts_of(id_))
        if not state.mounts_of(id_):
            notification.tell(terminal, f"logged out: {lost}")
    finally:
        ends.close()
        sleep.close()


def _is_over(store: Store, terminal: Terminal) -> bool:
    """Whether the connection has ended, by the gateway's doing or the network's, and nothing is left to look after."""
    state = store.read()
    if state.mounts_of(terminal.id):
        return False
    if teardown.is_connected(store, state):
        return not teardown.holds(state, terminal)
    teardown.forget_connection(store, state)
    return True


def _start_watchdogs(store: Store, state: State) -> None:
    """Those of other terminals: their own monitors may have been killed at once with them."""
    for id_, terminal in state.terminals.items():
        if not processes.alive(terminal.watchdog):
            session.start_watchdog(store, id_)


def start_monitors(store: Store, id_: str) -> None:
    """See that each mount of the terminal has a monitor that lives; undo one whose making was broken off."""
    for mount in store.read().mounts_of(id_):
        if not mount.mount_id:
            teardown.end_if_abandoned(store, mount)
        elif not processes.alive(mount.monitor):
            _start_monitor(store, mount.project)


def _start_monitor(store: Store, project: str) -> None:
    """One, whoever else does this at the same time."""
    with store.lock("start"):
        mount = store.read().mounts.get(project)
        if mount and not processes.alive(mount.monitor):
            with dead_man_switch.held(store) as pipe:
                started = processes.start_background("monitor", store.directory, project, keeping=pipe)
            store.change(functools.partial(_with_monitor, mount, started))


def _with_monitor(mount: Mount, monitor: Process, now: State) -> State:
    known = now.mounts.get(mount.project)
    return now.with_mount(known._replace(monitor=monitor)) if known else now


def _pass_on(store: Store, terminal: Terminal, heard: int) -> int:
    """Say what the gateway has warned of since; how many events that makes."""
    said = session_events.spoken(store)
    for event in said[heard:]:
        if words := _words(store, terminal, event):
            notification.tell(terminal, words)
    return len(said)


def _words(store: Store, terminal: Terminal, event: dict[str, Any]) -> str:
    project = str(event.get("project", ""))
    seconds = event.get("seconds")
    if (
        event["event"] != "warning"
        or not isinstance(seconds, int)
        or (project and project not in [mount.project for mount in store.read().mounts_of(terminal.id)])
    ):
        return ""
    what = f"{project} will be locked" if project else "the session will be closed"
    stay = "read or write a file in it" if project else "use it"
    return f"in {seconds} s {what} for want of use; {stay} to keep it"
