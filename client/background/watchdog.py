"""The watchdog of one terminal: when its shell ends, in whatever way, it ends everything that belongs to the terminal.

It follows the shell by pidfd. It also starts monitors again that were killed, shows the gateway's warnings on the
terminal, and ends everything before the machine sleeps, if systemd-logind announces that.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from client.background import launcher, notification, presence
from client.background.sleep_inhibitor import SleepInhibitor
from client.connection import session, session_events
from client.errors import DamagedState
from client.mount import teardown
from client.state.records import State, Terminal
from client.state.store import Store
from client.state.terminal import has_ended
from client.system import processes
from client.system.pidfd_poll import PidfdPoll

_INTERVAL = 3.0
"""Seconds between two checks when nothing happens."""


def run(directory: str, id_: str) -> None:
    """Follow the terminal until it has ended or logged out."""
    store = Store(directory, must_exist=True)
    state = store.read()
    terminal = state.terminals.get(id_)
    if terminal is None:
        return
    sleep = SleepInhibitor()
    poll = PidfdPoll(terminal.followed)
    shown = len(session_events.read(store))
    had_mounts = False
    try:
        while id_ in (state := store.read()).terminals:
            if has_ended(terminal):
                teardown.end_terminal(store, id_)
                return
            if sleep.is_sleep_near():
                teardown.end_terminal(store, id_)
                notification.send(terminal, "everything is locked: this machine is going to sleep")
                return
            shown = _show_warnings(store, terminal, shown)
            if _is_over(store, terminal):
                teardown.end_terminal(store, id_)
                if not had_mounts:  # otherwise a monitor has reported it
                    why = session_events.why_closed(store) or "the connection to the gateway has closed"
                    notification.send(terminal, f"logged out: {why}; `enc login` logs in again")
                return
            presence.keep(store, terminal)
            notification.deliver()
            had_mounts = bool(store.read().mounts_of(id_))
            launcher.start_monitors(store, id_)
            _start_watchdogs(store, state)
            poll.wait(_INTERVAL, *sleep.descriptors)
    except DamagedState as lost:
        teardown.end_unrecorded(state, state.mounts_of(id_))
        if not state.mounts_of(id_):
            notification.send(terminal, f"logged out: {lost}")
    finally:
        poll.close()
        sleep.close()


def _is_over(store: Store, terminal: Terminal) -> bool:
    """Whether the terminal has no mount, and the connection has ended or is not needed for it any more."""
    state = store.read()
    if state.mounts_of(terminal.id):
        return False
    if session.is_open(store, state):
        return not teardown.needs_connection(state, terminal)
    session.forget(store, state)
    return True


def _start_watchdogs(store: Store, state: State) -> None:
    """Also those of other terminals: their own monitors may have been killed together with them."""
    for id_, terminal in state.terminals.items():
        if not processes.is_alive(terminal.watchdog):
            launcher.start_watchdog(store, id_)


def _show_warnings(store: Store, terminal: Terminal, shown: int) -> int:
    """Show the warnings among the events after the first `shown`; returns the number of events so far."""
    events = session_events.read(store)
    for event in events[shown:]:
        if message := _warning(store, terminal, event):
            notification.send(terminal, message, partial(_is_still_due, store, terminal, str(event.get("project", ""))))
    return len(events)


def _is_still_due(store: Store, terminal: Terminal, project: str) -> bool:
    """Whether a warning about the project ("": about the session) is still one: what it warned of has not happened."""
    try:
        mounts = [mount.project for mount in store.read().mounts_of(terminal.id)]
    except DamagedState:
        return False
    return project in mounts and project in session_events.warned(store) if project else bool(mounts)


def _warning(store: Store, terminal: Terminal, event: dict[str, Any]) -> str:
    """The message for an event; "" when it is no warning, or is about another terminal's project."""
    project = str(event.get("project", ""))
    seconds = event.get("seconds")
    if event["event"] != "warning" or not isinstance(seconds, int):
        return ""
    mounts = [mount.project for mount in store.read().mounts_of(terminal.id)]
    if not project and not mounts:  # nothing can be lost here
        return ""
    if not project:
        return f"your session will be closed in {seconds} s because it is idle; any command of enc keeps it open"
    if project not in mounts:
        return ""
    if presence.keep(store, terminal):
        return ""
    return (
        f"{project} will be locked in {seconds} s because it is idle. To keep it unlocked, save a file in it, or type "
        f"`enc touch {project}`. Text in an editor is not lost: after the lock, `enc mount {project}`, then save"
    )
