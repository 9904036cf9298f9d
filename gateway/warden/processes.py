"""The processes of a session, seen by its PID 1 through /proc.

An attached program is a bubblewrap monitor, our child, above a pid namespace of its own. Its processes hold a view
when a descriptor, the working directory, the root or a mapping of theirs lies in it.
"""

from __future__ import annotations

import os
import signal

from gateway.warden import mounts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def all_but(known: Iterable[int]) -> set[int]:
    """Every process of the session but this one and `known`."""
    pids = {int(name) for name in os.listdir("/proc") if name.isdigit()}
    return pids - {os.getpid(), *known}


def tree(root: int) -> set[int]:
    """`root` and its descendants."""
    parents = {pid: _status(pid, "PPid:") for pid in all_but(())}
    members = {root}
    while more := {pid for pid, parent in parents.items() if parent and int(parent[0]) in members} - members:
        members |= more
    return members


def terminate(monitor: int) -> None:
    """SIGTERM to the programs below a bubblewrap monitor, and not to bubblewrap: its end would be their SIGKILL."""
    for pid in tree(monitor):
        inner = _status(pid, "NSpid:")
        if len(inner) > 1 and inner[1] != "1":
            kill(pid, signal.SIGTERM)


def kill_tree(monitor: int) -> None:
    """SIGKILL to a bubblewrap monitor and all below it, which does not wait for the kernel to pass on its death."""
    for pid in tree(monitor):
        kill(pid, signal.SIGKILL)


def kill(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


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


def _status(pid: int, field: str) -> list[str]:
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
            return next((line.split()[1:] for line in file if line.startswith(field)), [])
    except OSError:
        return []
