"""Unmounting our mount and no other: gracefully, by force, or as root below a mount that covers it."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time

from client.mount import entries
from client.state import runtime_dir
from client.state.records import Mount
from client.system import linux, processes
from client.system.linux import MountEntry

_ATTEMPTS = 3
_PROGRAM_SECONDS = 1.0
"""How long a mount or unmount program may take when nothing has to be written back."""


def gracefully(mount: Mount, seconds: float) -> bool:
    """Unmount, after writing back; whether it is unmounted. False when it is in use or sshfs does not answer."""
    entry = entries.find(mount)
    if entry is None:
        return True
    if entries.mounted_on(mount):
        return False
    for _ in range(_ATTEMPTS):  # the monitor's probe makes it busy for a moment
        if processes.run_quietly([*linux.UNMOUNT, "--", entry.path], seconds):
            break
        time.sleep(0.1)
    else:
        return entries.find(mount) is None
    # All files are closed, and so written. sshfs goes on if another mount namespace still has a copy of the mount.
    processes.end(mount.sshfs, grace=min(seconds, 1.0))
    return True


def by_force(mount: Mount) -> bool:
    """Kill sshfs, after which nothing can be read through the mount, and unmount; whether it is unmounted.

    False when another mount on it keeps it in the mount table.
    """
    processes.end(mount.sshfs)
    entry = entries.find(mount)
    if entry is None:
        return True
    if covers := entries.mounted_on(mount):
        return len(covers) == 1 and covers[0].path == entry.path and _below(mount, covers[0])
    processes.run_quietly([*linux.UNMOUNT_LAZY, "--", entry.path], _PROGRAM_SECONDS)
    return entries.find(mount) is None


def left_by_killed(mount: Mount) -> None:
    """Unmount what an sshfs left that was killed before its mount was recorded, so that no id tells it from others."""
    for entry in linux.mount_table():
        if (entry.path, entry.source) == (mount.directory, mount.source) and not processes.is_alive(mount.sshfs):
            processes.run_quietly([*linux.UNMOUNT_LAZY, "--", entry.path], _PROGRAM_SECONDS)


def make_private(entry: MountEntry) -> None:
    """As root: make the mount private. The kernel refuses to move a mount that is on a shared one (see `_below`)."""
    if os.geteuid() == 0:
        processes.run_quietly([*linux.MAKE_PRIVATE, "--", entry.path], _PROGRAM_SECONDS)


def _below(mount: Mount, cover: MountEntry) -> bool:
    """As root: unmount the mount that `cover` covers; whether it is unmounted. `cover` stays the same mount.

    No system call unmounts only the lower of two mounts. So this moves the cover to a directory of ours for a moment,
    with everything that is mounted or open in it, and then back.
    """
    if os.geteuid() or any(each.parent == cover.id and each.path == cover.path for each in linux.mount_table()):
        return False
    aside = tempfile.mkdtemp(prefix="aside-", dir=os.path.dirname(runtime_dir.path()))
    try:
        if not processes.run_quietly([*linux.MOVE_MOUNT, "--", cover.path, aside], _PROGRAM_SECONDS):
            return False
        processes.run_quietly([*linux.UNMOUNT_LAZY, "--", cover.path], _PROGRAM_SECONDS)
        processes.run_quietly([*linux.MOVE_MOUNT, "--", aside, cover.path], _PROGRAM_SECONDS)
    finally:
        with contextlib.suppress(OSError):
            os.rmdir(aside)
    return entries.find(mount) is None
