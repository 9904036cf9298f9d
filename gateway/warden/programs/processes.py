"""The processes of a session, seen by its PID 1 through /proc.

An attached program is a bubblewrap monitor, our child, above a pid namespace of its own. Its processes hold a view
when a descriptor, the working directory, the root or a mapping of theirs lies in it.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal

from gateway.base.records import Record
from gateway.warden import mounts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway.warden.loop import Steps

_MOST_COUNTED = 2_000
"""Processes: 40 ms for a look at their processor time."""

_TICKS = os.sysconf("SC_CLK_TCK")

_COLLAPSE = 0.5
"""Seconds for what is left in a session to end by SIGKILL."""


def all_but(known: Iterable[int]) -> set[int]:
    """Every process of the session but this one and `known`."""
    pids = {int(name) for name in os.listdir("/proc") if name.isdigit()}
    return pids - {os.getpid(), *known}


class Tree(Record):
    """The processes of one attached program: the bubblewrap `monitor`, the `first` of the pid namespace below it, which
    is bubblewrap as well, and the `others`, which are the program's own.
    """

    monitor: int
    first: frozenset[int]
    others: frozenset[int]

    def members(self) -> frozenset[int]:
        return self.first | self.others | {self.monitor}


def trees(monitors: Iterable[int]) -> tuple[Tree, ...]:
    """One look at /proc for all of them: a program may have made thousands of processes to keep us looking while its
    view is to be locked. Without a descriptor for the look, the monitors alone: the kernel ends the others with them.
    """
    children: dict[int, list[int]] = {}
    with contextlib.suppress(OSError):
        for pid in all_but(()):
            children.setdefault(_stat(pid)[0], []).append(pid)
    return tuple(_tree(monitor, children) for monitor in monitors)


def processor_seconds(monitors: Iterable[int]) -> dict[int, float]:
    """The processor time that each program's processes have used, and those that they have waited for.

    Looks at the first `_MOST_COUNTED` processes of the session and no further, for it is done again and again; at none
    where there is no descriptor left for it.
    """
    children: dict[int, list[int]] = {}
    used: dict[int, float] = {}
    with contextlib.suppress(OSError), os.scandir("/proc") as entries:
        pids = (int(entry.name) for entry in entries if entry.name.isdigit())
        for pid in itertools.islice(pids, _MOST_COUNTED):
            parent, used[pid] = _stat(pid)
            children.setdefault(parent, []).append(pid)
    return {one: sum(used.get(pid, 0.0) for pid in _tree(one, children).members()) for one in monitors}


def turns(monitors: Iterable[int]) -> dict[int, int]:
    """How often each program's processes have waited for something and gone on, so far: a server about once a request.
    One that lets nobody look into it, as sftp-server does, has this open to all.
    """
    return {tree.monitor: sum(map(_turns, tree.others or {tree.monitor})) for tree in trees(monitors)}


def _turns(pid: int) -> int:
    """voluntary_ctxt_switches (proc(5), status); 0 for what is gone."""
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
            return sum(int(line.split()[1]) for line in file if line.startswith("voluntary_ctxt_switches:"))
    except (OSError, ValueError, IndexError):
        return 0


def _tree(monitor: int, children: dict[int, list[int]]) -> Tree:
    first = children.get(monitor, [])
    others, pending = set[int](), [*first]
    while pending:
        below = children.get(pending.pop(), [])
        others.update(below)
        pending += below
    return Tree(monitor=monitor, first=frozenset(first), others=frozenset(others))


def terminate(chosen: Iterable[Tree]) -> None:
    """SIGTERM to the programs, and not to bubblewrap: its end would be their SIGKILL."""
    for tree in chosen:
        for pid in tree.others:
            kill(pid, signal.SIGTERM)


def kill_program(monitor: int) -> None:
    """SIGKILL to a bubblewrap monitor and to the first process of the pid namespace below it, whose end is that of all
    in there: no look at /proc, which takes its time where there are many.
    """
    try:
        with open(f"/proc/{monitor}/task/{monitor}/children", encoding="ascii") as file:
            first = [int(pid) for pid in file.read().split()]
    except OSError:  # gone, or a kernel without CONFIG_PROC_CHILDREN; then the kernel passes it on (--die-with-parent)
        first = []
    for pid in (monitor, *first):
        kill(pid, signal.SIGKILL)


def kill(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def kill_the_rest() -> Steps[None]:
    """Nothing outlives a session. The kernel would see to it with our own end, but its end is recorded before."""
    with contextlib.suppress(OSError):  # no descriptor for a look at them
        for pid in all_but(()):
            kill(pid, signal.SIGKILL)
        yield lambda: not all_but(()), _COLLAPSE


def holds(pid: int, device: str) -> bool:
    """Whether process `pid` uses the file system `device`. One that we cannot look into counts as using it."""
    try:
        ids = mounts.ids(pid, device)
        return _mapped(pid, device) or any(mount in ids for mount in _used(pid))
    except FileNotFoundError:
        return False
    except OSError:
        return os.path.exists(f"/proc/{pid}")


def _used(pid: int) -> Iterable[str]:
    """The ids of the mounts that descriptors, working directory and root are in, without a request to any of them."""
    for name in os.listdir(f"/proc/{pid}/fdinfo"):
        yield _mount_id(f"/proc/{pid}/fdinfo/{name}")
    for link in ("cwd", "root"):
        fd = os.open(f"/proc/{pid}/{link}", os.O_PATH | os.O_CLOEXEC)
        try:
            yield _mount_id(f"/proc/self/fdinfo/{fd}")
        finally:
            os.close(fd)


def _mount_id(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            return next((line.split()[1] for line in file if line.startswith("mnt_id:")), "")
    except FileNotFoundError:  # closed since we listed it
        return ""


def _mapped(pid: int, device: str) -> bool:
    major, _, minor = device.partition(":")
    wanted = f"{int(major):02x}:{int(minor):02x}"
    with open(f"/proc/{pid}/maps", encoding="utf-8", errors="surrogateescape") as file:
        return any(line.split(None, 4)[3] == wanted for line in file)


def _stat(pid: int) -> tuple[int, float]:
    """The parent, and the seconds of processor time of the process and of the children that it has waited for (proc(5),
    stat); 0 for one that is gone. By hand, for there can be very many.
    """
    try:
        fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return 0, 0.0
    try:
        fields = os.read(fd, 4096).rpartition(b")")[2].split(None, 15)
        return int(fields[1]), sum(map(int, fields[11:15])) / _TICKS
    except (OSError, IndexError):
        return 0, 0.0
    finally:
        os.close(fd)
