"""Starting watchdogs and monitors, and starting them again when they were killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from client.background import background_log, dead_man_switch
from client.mount import teardown
from client.state.records import State
from client.state.store import Store
from client.system import processes
from client.system.processes import Process

_CODE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
"""What contains the package `client`: a directory, or the zipapp."""
_START = "import sys; sys.path.append(sys.argv[1]); from client.background import main; main.main(sys.argv[2:])"


def start_watchdog(store: Store, id_: str) -> None:
    """Start a watchdog for the terminal, unless it has logged out or has one. Two callers at once start only one."""
    with store.lock("start"):
        terminal = store.read().terminals.get(id_)
        if terminal is None or processes.is_alive(terminal.watchdog):
            return
        started = _start(store, "watchdog", id_)

        def recorded(now: State) -> State:
            known = now.terminals.get(id_)
            return now.with_terminal(known._replace(watchdog=started)) if known else now

        store.change(recorded)


def start_monitors(store: Store, id_: str) -> None:
    """Start a monitor for each mount of the terminal that has none. Undo mounts that were never finished."""
    for mount in store.read().mounts_of(id_):
        if not mount.mount_id:
            teardown.end_abandoned(store, mount)
        elif not processes.is_alive(mount.monitor):
            _start_monitor(store, mount.project)


def _start_monitor(store: Store, project: str) -> None:
    with store.lock("start"):
        mount = store.read().mounts.get(project)
        if mount is None or processes.is_alive(mount.monitor):
            return
        started = _start(store, "monitor", project)

        def recorded(now: State) -> State:
            known = now.mounts.get(project)
            return now.with_mount(known._replace(monitor=started)) if known else now

        store.change(recorded)


def _start(store: Store, role: str, name: str) -> Process:
    """Start background/main.py: in a session of its own, in /, with the dead man's switch and the log as descriptors.

    It only needs the standard library, so it runs without site-packages (-I -S), which keeps it small.
    """
    argv = [sys.executable, "-I", "-S", "-c", _START, _CODE, role, store.directory, name]
    with dead_man_switch.held(store) as pipe, background_log.appending(store) as log:
        before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # inherited, so it is ignored from the first instruction
        try:
            child = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                pass_fds=[pipe],
                cwd="/",
                start_new_session=True,
            )
        finally:
            signal.signal(signal.SIGHUP, before)
    child.returncode = 0  # nobody waits for it here; otherwise Popen would warn when it is collected
    return processes.find(child.pid) or Process(child.pid, 0)  # who finds that it has ended starts another
