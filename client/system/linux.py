"""What only Linux has: the mount table, process start times, unmount programs, pipe hang-up signals, memory protection.

The rest of the client calls this module. To support another system, write a module with the same functions.
"""

from __future__ import annotations

import fcntl
import os
import re
import resource
import signal
import termios
from collections.abc import Callable, Iterator
from typing import NamedTuple

MOUNT_TABLE = "/proc/self/mountinfo"
UNMOUNT = ("fusermount3", "-u")
UNMOUNT_LAZY = ("fusermount3", "-u", "-z")
MAKE_PRIVATE = ("mount", "--make-private")
MOVE_MOUNT = ("mount", "--move")
DELETED = " (deleted)"
"""What /proc appends to the path of an open file that was deleted."""
SOCKET_PATH_MAX = 104
"""Bytes in the path of a unix socket: the smallest limit of the systems that ssh runs on."""

_OCTAL_ESCAPE = re.compile(rb"\\([0-7]{3})")
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE = 1, 4


class MountEntry(NamedTuple):
    """One line of the mount table (proc(5)). `parent` is the id of the mount that this one is mounted on."""

    id: int
    parent: int
    device: str
    path: str
    type: str
    source: str


def mount_table() -> list[MountEntry]:
    """All mounts of our mount namespace. Reading the table does not call any file system, so it cannot hang."""
    with open(MOUNT_TABLE, "rb") as file:
        table = file.read()
    return [_parse(line) for line in table.split(b"\n") if line]  # splitlines would also split at what a path may have


def _parse(line: bytes) -> MountEntry:
    front, _, back = line.partition(b" - ")
    id_, parent, device, _, path = front.split(b" ")[:5]
    type_, source = back.split(b" ")[:2]
    return MountEntry(int(id_), int(parent), device.decode(), _unescape(path), type_.decode(), _unescape(source))


def _unescape(text: bytes) -> str:
    return os.fsdecode(_OCTAL_ESCAPE.sub(lambda match: bytes([int(match[1], 8)]), text))


_PF_EXITING = 0x4
"""In the flags of a process (include/linux/sched.h)."""


def start_time(pid: int) -> int:
    """When process `pid` started, in clock ticks since boot. Pid and start time together are never used again.

    Raises ProcessLookupError when there is no such process, or when it is a zombie.
    """
    return int(_stat(pid)[19])


def is_exiting(pid: int) -> bool:
    """Whether process `pid` is in the middle of its end: some of its descriptors may be closed already. Raises as
    `start_time`.
    """
    return bool(int(_stat(pid)[6]) & _PF_EXITING)


def _stat(pid: int) -> list[bytes]:
    """The fields of /proc/PID/stat (proc(5)) from the third on, the state."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError as error:
        raise ProcessLookupError(pid) from error
    if not fields or fields[0] in (b"Z", b"X"):
        raise ProcessLookupError(pid)
    return fields


def program_name(pid: int) -> str:
    """The name of the program that process `pid` runs, printable; "?" when it cannot be read."""
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            return "".join(char if char.isprintable() else "?" for char in file.read().strip())
    except OSError:
        return "?"


def foreground_group(pid: int) -> int:
    """The process group in the foreground of the terminal of process `pid`; 0 for none."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return max(0, int(file.read().rpartition(b")")[2].split()[5]))
    except (OSError, IndexError):
        return 0


def is_canonical(tty: str) -> bool:
    """Whether the terminal gives its programs whole lines (ICANON in termios(3)); True when it cannot be asked."""
    try:
        fd = os.open(tty, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return True
    try:
        return bool(termios.tcgetattr(fd)[3] & termios.ICANON)
    except termios.error:
        return True
    finally:
        os.close(fd)


def bytes_transferred(pid: int) -> int:
    """Bytes that process `pid` has read and written so far, sockets and pipes included; 0 when that cannot be read."""
    try:
        with open(f"/proc/{pid}/io", "rb") as file:
            fields = dict(line.split(b": ") for line in file.read().splitlines())
    except OSError:
        return 0
    return int(fields[b"rchar"]) + int(fields[b"wchar"])


def kill_at_pipe_hangup(fd: int, pid: int) -> None:
    """Ask the kernel to send SIGKILL to `pid` when the last writer of a pipe closes it; `fd` is its read end.

    This belongs to the open file of `fd`, so it holds while any process has that open. SIGKILL also ends a stopped
    process. The kernel keeps a reference to the process, not its number, so a reused pid is not killed.
    """
    fcntl.fcntl(fd, fcntl.F_SETOWN, pid)
    fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_ASYNC)


def processes_using(directory: str) -> list[int]:
    """Pids of the user's processes that have `directory`, or something in it, open or as working directory."""
    return [pid for pid, opened in _in_use() if any(_is_within(path, directory) for path in opened.values())]


def deleted_files_open_in(mount_id: int, directory: str) -> set[tuple[str, int]]:
    """The deleted files that the user's processes have open in a mount, which is or was at `directory`: the directory
    of each, from the top of the mount, and its inode. Asks the mount nothing. Empty before Linux 5.14.
    """
    found = set()
    for pid, opened in _in_use():
        for name, path in opened.items():
            if path.endswith(DELETED) and (about := _about(f"/proc/{pid}/fdinfo/{name}")).get("mnt_id") == mount_id:
                # of a mount that is gone, the path begins at its top
                below = path.removeprefix(directory) if _is_within(path, directory) else path
                if inode := about.get("ino"):
                    found.add((os.path.dirname(below).lstrip("/"), inode))
    return found


def is_in(pid: int, directory: str) -> bool:
    """Whether the working directory of the process is `directory` or in it."""
    return _is_within(_target(f"/proc/{pid}/cwd"), directory)


def _about(fdinfo: str) -> dict[str, int]:
    """The numbers that Linux tells of an open file."""
    try:
        with open(fdinfo, encoding="ascii", errors="replace") as file:
            pairs = [line.split() for line in file]
    except OSError:  # closed meanwhile
        return {}
    return {pair[0].rstrip(":"): int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdecimal()}


def _in_use() -> Iterator[tuple[int, dict[str, str]]]:
    """Each process of the user, and the paths that it has open, by descriptor, or as working directory, by `cwd`."""
    for name in filter(str.isdecimal, os.listdir("/proc")):
        try:
            links = {fd: f"/proc/{name}/fd/{fd}" for fd in os.listdir(f"/proc/{name}/fd")}
        except OSError:  # it has ended, or belongs to another user
            continue
        links["cwd"] = f"/proc/{name}/cwd"
        yield int(name), {fd: path for fd, link in links.items() if (path := _target(link))}


def _target(link: str) -> str:
    try:
        return os.readlink(link)
    except OSError:  # closed meanwhile
        return ""


def _is_within(path: str, directory: str) -> bool:
    return path == directory or path.startswith(f"{directory}/")


def has_aes() -> bool:
    """Whether the processor has AES instructions, with which AES-GCM is faster than ssh's other ciphers."""
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
            lines = [line.split() for line in file if line.startswith(("flags", "Features"))]
    except OSError:
        return False
    return bool(lines) and "aes" in lines[0]


def signal_at_parents_end(number: int) -> Callable[[], None]:
    """A function that asks the kernel, in a process just forked, to signal it when its parent ends; kept over exec.

    It does nothing in a Python without ctypes.
    """
    try:
        import ctypes
    except ImportError:
        return lambda: None
    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)


def protect_memory() -> None:
    """No core dump of this process, and only root may trace it. Call this before reading a passphrase."""
    import ctypes

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
