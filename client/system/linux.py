"""What is Linux's own here: the mount table, how processes are told apart, the clocks, memory, unmounting.

The rest of the client asks this module, so that another system is another module with the same functions.
"""

from __future__ import annotations

import fcntl
import os
import re
import resource
import signal
from typing import NamedTuple

MOUNT_TABLE = "/proc/self/mountinfo"
UNMOUNT = ("fusermount3", "-u")
UNMOUNT_AT_ONCE = ("fusermount3", "-u", "-z")
MAKE_PRIVATE = ("mount", "--make-private")
MOVE_MOUNT = ("mount", "--move")
SOCKET_PATH_MAX = 104
"""Bytes for a unix socket's path; the smallest limit of the systems that ssh runs on."""

_ESCAPED = re.compile(r"\\([0-7]{3})")
_PR_SET_DUMPABLE = 4


class MountEntry(NamedTuple):
    """A line of the mount table (proc(5)). `parent` is the id of the mount that this one is mounted on."""

    id: int
    parent: int
    device: str
    path: str
    type: str
    source: str


def mounts() -> list[MountEntry]:
    """The mount table. Reading it asks no file system anything, so it cannot hang."""
    with open(MOUNT_TABLE, "rb") as file:
        text = os.fsdecode(file.read())
    return [_entry(line) for line in text.splitlines()]


def _entry(line: str) -> MountEntry:
    front, _, back = line.partition(" - ")
    id_, parent, device, _, path = front.split(" ")[:5]
    type_, source = back.split(" ")[:2]
    return MountEntry(int(id_), int(parent), device, _plain(path), type_, _plain(source))


def _plain(text: str) -> str:
    return (
        os.fsdecode(_ESCAPED.sub(lambda match: chr(int(match[1], 8)), text).encode("latin-1")) if "\\" in text else text
    )


def started(pid: int) -> int:
    """When process `pid` was started, in clock ticks since boot: with the pid, a name that is never used again.

    Raises ProcessLookupError when there is none, or one that has ended and only waits to be reaped.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError as error:
        raise ProcessLookupError(pid) from error
    if not fields or fields[0] in (b"Z", b"X"):
        raise ProcessLookupError(pid)
    return int(fields[19])


def name_of(pid: int) -> str:
    """The name of a process, for a person."""
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            return "".join(char if char.isprintable() else "?" for char in file.read().strip())
    except OSError:
        return "?"


def moved(pid: int) -> int:
    """Bytes that a process has read and written so far, over sockets and pipes as well; 0 when that cannot be seen."""
    try:
        with open(f"/proc/{pid}/io", "rb") as file:
            fields = dict(line.split(b": ") for line in file.read().splitlines())
    except OSError:
        return 0
    return int(fields[b"rchar"]) + int(fields[b"wchar"])


def kill_at_hang_up(fd: int, pid: int) -> None:
    """Have the kernel send SIGKILL to `pid` when the last writer of the pipe is gone whose reading end `fd` is.

    It holds for the open file that `fd` is a descriptor of, whichever processes have it; SIGKILL reaches one that is
    stopped, too. The kernel keeps the process itself, not its number.
    """
    fcntl.fcntl(fd, fcntl.F_SETOWN, pid)
    fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_ASYNC)


def users(directory: str) -> list[int]:
    """Processes of ours that have `directory`, or something in it, open or as their working directory."""
    found = []
    for name in filter(str.isdecimal, os.listdir("/proc")):
        try:
            links = [f"/proc/{name}/cwd", *(f"/proc/{name}/fd/{fd}" for fd in os.listdir(f"/proc/{name}/fd"))]
            if any(_within(os.readlink(link), directory) for link in links):
                found.append(int(name))
        except OSError:  # it ended, or is not ours to look into
            continue
    return found


def _within(path: str, directory: str) -> bool:
    return path == directory or path.startswith(f"{directory}/")


def has_aes() -> bool:
    """Whether the processor has instructions for AES, which make it faster than any other cipher of ssh's."""
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
            lines = [line.split() for line in file if line.startswith(("flags", "Features"))]
    except OSError:
        return False
    return bool(lines) and "aes" in lines[0]


def keep_memory_private() -> None:
    """No core dump of this process, and nobody but root looks into it. For those that have read a passphrase."""
    import ctypes

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
