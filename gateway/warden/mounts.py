"""Mounts in the session's own mount namespace.

/projects is a read-only mount of a small tmpfs that is writable at /.projects: a file saved beside the projects
would be lost with the session, so it is refused. It is shared, so that views come and go in the sandboxes of
attached programs as they do here.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time

from gateway.base import syscalls
from gateway.base.clock import boottime
from gateway.base.syscalls import MS_BIND, MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_RDONLY, MS_REMOUNT, MS_SHARED
from gateway.identity.names import ProjectName
from gateway.sandbox.paths import FUSE, PROJECTS, WRITABLE_PROJECTS

_TERMINALS = 32


def prepare() -> None:
    """Make /projects, once a session."""
    syscalls.mount(WRITABLE_PROJECTS, PROJECTS, None, MS_BIND)
    syscalls.mount(None, PROJECTS, None, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV)
    syscalls.mount(None, PROJECTS, None, MS_SHARED)


def path(project: ProjectName) -> str:
    """Where the view of `project` is."""
    return os.path.join(PROJECTS, project)


def attach_fuse(project: ProjectName) -> int:
    """Mount a FUSE file system for `project`; the descriptor that whoever serves it needs. Raises OSError."""
    fd = os.open(FUSE, os.O_RDWR | os.O_CLOEXEC)
    try:
        os.mkdir(os.path.join(WRITABLE_PROJECTS, project), 0o700)
        # max_read as go-fuse would set it by fusermount3; default_permissions stays off, as in a private gocryptfs.
        options = f"fd={fd},rootmode=40000,user_id={os.getuid()},group_id={os.getgid()},max_read=131072"
        syscalls.mount("gocryptfs", path(project), "fuse.gocryptfs", MS_NOSUID | MS_NODEV, options)
    except OSError:
        os.close(fd)
        remove_directory(project)
        raise
    return fd


def detach(project: ProjectName, force: bool = False) -> bool:
    """Unmount the view; whether it is unmounted: not while anything in any namespace uses it, unless `force`.

    This asks gocryptfs for nothing, and so does not wait for it: what nobody uses has nothing unwritten (a mapping is
    written when it goes), and `force` ends the connection to gocryptfs first, with every request that waits for it.
    """
    try:
        syscalls.umount(path(project), syscalls.MNT_FORCE | syscalls.MNT_DETACH if force else 0)
    except OSError as error:
        return error.errno in (errno.EINVAL, errno.ENOENT)  # nothing is mounted there
    return True


def changes() -> int:
    """A descriptor on which poll(2) reports an error whenever a mount has come, gone or moved in our namespace
    (/proc/pid/mounts in proc(5)).
    """
    return os.open("/proc/self/mountinfo", os.O_RDONLY | os.O_CLOEXEC)


def remove_directory(project: ProjectName) -> None:
    """Remove the directory that the view was mounted on."""
    try:
        os.rmdir(os.path.join(WRITABLE_PROJECTS, project))
    except OSError:  # something is mounted on it still, which `device` tells
        return


def device(project: ProjectName) -> str:
    """The view's device as mountinfo writes it, `major:minor`; "" when nothing is mounted there."""
    target = path(project)
    for line in _mountinfo("self"):
        words = line.split()
        if words[4] == target:
            return words[2]
    return ""


def ids(pid: int, device_: str) -> set[str]:
    """The ids that mounts of `device_` have in the namespace of process `pid`. Raises OSError when it is gone."""
    return {words[0] for words in map(str.split, _mountinfo(str(pid))) if words[2] == device_}


def make_terminals(where: str) -> None:
    """A devpts of its own at `where`, for as many terminals as one program may have: the host has a number of them for
    all namespaces together (pts(4), kernel.pty.max). Raises OSError.
    """
    os.makedirs(where, exist_ok=True)
    options = f"newinstance,ptmxmode=0666,mode=0620,max={_TERMINALS}"
    syscalls.mount("devpts", where, "devpts", MS_NOSUID | MS_NOEXEC, options)


def last_typed(where: str) -> float:
    """When something that was typed at one of the terminals was last read (CLOCK_BOOTTIME), to 8 s (the kernel's
    tty_update_time); 0.0 for never.
    """
    ago = float("inf")
    with contextlib.suppress(OSError), os.scandir(where) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                if entry.name.isdigit():
                    ago = min(ago, time.time() - entry.stat().st_atime)
    return max(0.0, boottime() - max(ago, 0.0))


def remove_terminals(where: str) -> None:
    """That of a program that has ended, or never started."""
    with contextlib.suppress(OSError):  # what is left is small, and goes with the session
        syscalls.umount(where, syscalls.MNT_DETACH)
        os.rmdir(where)


def _mountinfo(process: str) -> list[str]:
    with open(f"/proc/{process}/mountinfo", encoding="utf-8", errors="surrogateescape", newline="\n") as file:
        return file.readlines()
