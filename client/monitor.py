"""The monitor of one mount: every 3 s, is it there, is it the one that was made, does it answer?

It asks the mount table, which never blocks, and has a child ask the mount itself for its size (statvfs, which no cache
answers and the gateway does not count as activity): an answer has come through sshfs, the connection and the session
from the view, and so proves them all. A child that gets none may be stuck in the kernel; it is left behind, never
waited for. When something is wrong: kill sshfs, unmount, have the gateway lock, say so once.
"""

from __future__ import annotations

import os
import select
import signal
import time

from client import ending, events, mounting, notice, processes, session
from client import platform_linux as platform
from client.state import Mount, State, Store, Terminal
from client.waiting import Ends

EVERY = 3.0
DEADLINE = 2.0
"""Seconds for an answer."""
_MOVES = 65536
"""Bytes that ssh moves meanwhile when it is only busy; what we ask ourselves is far less."""
_ENDING = 3.0
"""Seconds between attempts at what is left of a mount that nobody else is ending."""


def run(directory: str, project: str) -> None:
    """Look after the mount until it is gone."""
    store = Store(directory)
    first = store.read().mounts.get(project)
    while first and (mount := _still(store, first)):
        state = store.read()
        terminal = state.terminals.get(mount.terminal)
        if mount.ending:
            _let_end(store, mount)
        elif terminal is None or ending.ended(terminal):
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
            ending.end_mount(store, mount)
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
        ending.end_terminal(store, terminal.id)
    if _still(store, mount):
        ending.end_mount(store, mount)


def _fault(store: Store, mount: Mount, state: State) -> str:
    """The first thing that is not as it should be, in words; "" when all is well."""
    entry = mounting.entry_of(mount)
    if why := events.why_locked(store, mount.project):
        return why
    if state.connection is None or not processes.alive(state.connection.master):
        return "the connection has ended"
    if entry is None:
        return "it was unmounted by something else than enc"
    if not processes.alive(mount.sshfs):
        return "sshfs has ended"
    if entry.path != mount.directory:
        return "its directory was moved away"
    if mounting.upon(mount):
        return "another file system was mounted over it, or into it"
    if mounting.elsewhere(mount):
        return "somebody mounted it at another place as well"
    if not _answers(entry.path, mount.device, state.connection.master.pid):
        return "it does not answer"
    return ""


def _end_after(store: Store, mount: Mount, state: State, fault: str) -> None:
    """Take the mount away by force and say so. A connection that does not answer either goes with it."""
    now = _still(store, mount)
    if now is None or now.ending:  # it was being ended in order while we looked
        return
    terminal = state.terminals.get(mount.terminal)
    reached = ending.end_mount(store, mount, gentle=0)
    end = "the gateway has locked it"
    if not reached:
        end = "the gateway could not be reached, and locks it by itself within 20 s"
        if state.connection:
            processes.end(state.connection.master)
            ending.forget_connection(store, state)
    notice.tell(terminal, f"{mount.project} is no longer at {mount.directory}: {fault}; {end}")


def _answers(path: str, device: str, master: int) -> bool:
    """Whether a statvfs through the mount gets an answer in time; a busy connection has more of it.

    A transfer over a slow line may keep a question waiting for longer than the deadline. As long as ssh moves data,
    the connection is alive, and the question is not given up.
    """
    _reap()
    child = os.fork()
    if child == 0:
        os._exit(_ask(path, device))
    handle = os.pidfd_open(child)
    waiting = select.poll()
    waiting.register(handle, select.POLLIN)
    try:
        before = platform.moved(master)
        while not waiting.poll(DEADLINE * 1000):
            now = platform.moved(master)
            if now - before < _MOVES:
                os.kill(child, signal.SIGKILL)
                return False
            before = now
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        os.close(handle)


def _ask(path: str, device: str) -> int:
    try:
        about = os.stat(path).st_dev
        os.statvfs(path)  # by its path: a descriptor would keep the mount busy while somebody unmounts it
    except OSError:
        return 1
    return 0 if f"{os.major(about)}:{os.minor(about)}" == device else 1


def _reap() -> None:
    """Collect children of earlier questions that came loose at last."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return
