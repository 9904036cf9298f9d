"""sshfs, over the connection that is there: its options, starting it, and knowing its mount from any other.

The options were chosen by measurement (bench/README.md). What they mean for a program that writes: docs/client.md.
"""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import tempfile
import time

from client.connection import ssh
from client.errors import CannotCreate, Missing
from client.state import store
from client.state.store import Mount, Store
from client.system import linux as platform
from client.system import processes
from client.system.linux import MountEntry

SSHFS = "sshfs"
_TRIES = 3
"""Attempts to unmount what is busy."""
_PATIENCE = 20.0
"""Seconds for the mount to appear."""
_OPTIONS = ("idmap=user", "nosuid", "nodev", "noatime", "dcache_timeout=5")


def start(store: Store, project: str, directory: str, synchronous: bool, keeping: int) -> subprocess.Popen[bytes]:
    """Start sshfs in the foreground, as a session of its own that keeps the descriptor `keeping` open; `appeared` waits
    for its mount. Raises Missing.
    """
    source = source_of(project)
    network = {"ControlPath": ssh.escaped(store.socket), **ssh.SHARED}
    chosen = [*_OPTIONS, *(("sshfs_sync",) if synchronous else ())]
    chosen += [f"{key}={value}".replace("\\", "\\\\").replace(",", "\\,") for key, value in network.items()]
    argv = [SSHFS, "-f", "-F", "none", "-o", ",".join(chosen), "--", source, directory]
    try:
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=[keeping],
            cwd="/",
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise Missing("sshfs is not installed", "apt install sshfs") from error


def source_of(project: str) -> str:
    """What the mount table calls the mount."""
    return f"enc:{project}"


def appeared(child: subprocess.Popen[bytes], project: str, directory: str, earlier: set[int]) -> MountEntry:
    """The mount that `child` has made, which is none of the ids in `earlier`. Raises CannotCreate, with sshfs ended."""
    deadline = time.monotonic() + _PATIENCE
    source = source_of(project)
    try:
        while child.poll() is None and time.monotonic() < deadline:
            for entry in platform.mounts():
                if entry.path == directory and entry.source == source and entry.id not in earlier:
                    return entry
            time.sleep(0.01)
    except BaseException:
        child.kill()
        child.wait()
        raise
    if child.poll() is None:
        child.kill()
    said = _words(child)
    child.wait()
    hint = "`enc doctor` looks into it"
    if "/dev/fuse" in said or "fuse device" in said:
        raise Missing(f"FUSE cannot be used ({said})", hint)
    raise CannotCreate(f"sshfs could not mount {project}{f' ({said})' if said else ''}", hint)


def _words(child: subprocess.Popen[bytes]) -> str:
    """The last line that sshfs said before it ended."""
    assert child.stderr is not None  # noqa: S101
    waiting = select.poll()
    waiting.register(child.stderr, select.POLLIN)
    said = os.read(child.stderr.fileno(), 4096) if waiting.poll(1000) else b""
    lines = said.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else ""


def entry_of(mount: Mount) -> MountEntry | None:
    """Our mount in the mount table, wherever it is now; None when it is gone."""
    for entry in platform.mounts():
        if (entry.id, entry.device, entry.source) == (mount.mount_id, mount.device, mount.source):
            return entry
    return None


def upon(mount: Mount) -> list[MountEntry]:
    """What is mounted on ours: at the same path, so that it covers it, or somewhere within."""
    return [entry for entry in platform.mounts() if entry.parent == mount.mount_id and entry.id != mount.mount_id]


def elsewhere(mount: Mount) -> list[MountEntry]:
    """The same file system, mounted once more by somebody (a bind mount)."""
    return [entry for entry in platform.mounts() if entry.device == mount.device and entry.id != mount.mount_id]


def unmount_gently(mount: Mount, seconds: float) -> bool:
    """Unmount, which writes back what is not written yet; False when it is in use, or sshfs does not answer."""
    entry = entry_of(mount)
    if entry is None:
        return True
    if upon(mount):
        return False
    for _ in range(_TRIES):  # the monitor's question makes it busy for a moment
        if processes.attempt([*platform.UNMOUNT, "--", entry.path], seconds):
            break
        time.sleep(0.1)
    else:
        return entry_of(mount) is None
    # What was open is closed, and so written. sshfs stays if a mount namespace elsewhere still has a copy of the mount.
    processes.end(mount.sshfs, grace=min(seconds, 1.0))
    return True


def unmount_by_force(mount: Mount) -> bool:
    """Kill sshfs, upon which nothing can be read through the mount any more, and take the mount out of the table.

    False when it has to stay in the table, dead, because something that is not ours is mounted upon it.
    """
    processes.end(mount.sshfs)
    entry = entry_of(mount)
    if entry is None:
        return True
    if covers := upon(mount):
        return len(covers) == 1 and covers[0].path == entry.path and _unmount_beneath(mount, covers[0])
    processes.attempt([*platform.UNMOUNT_AT_ONCE, "--", entry.path], 1.0)
    return entry_of(mount) is None


def keep_apart(entry: MountEntry) -> None:
    """As root: see that what is mounted upon it can be moved, which the kernel refuses where mounts are shared."""
    if os.geteuid() == 0:
        processes.attempt([*platform.MAKE_PRIVATE, "--", entry.path], 1.0)


def _unmount_beneath(mount: Mount, cover: MountEntry) -> bool:
    """As root: unmount what `cover` is mounted over; whether it is gone. The cover stays the mount that it is.

    No call of the kernel's unmounts what something is mounted upon, but for one that takes both. So the cover is moved
    to a directory of ours for that moment, with what is mounted in it and open in it, and back to where it was.
    """
    if os.geteuid() or any(each.parent == cover.id and each.path == cover.path for each in platform.mounts()):
        return False
    aside = tempfile.mkdtemp(prefix="aside-", dir=os.path.dirname(store.runtime()))
    try:
        if not processes.attempt([*platform.MOVE_MOUNT, "--", cover.path, aside], 1.0):
            return False
        processes.attempt([*platform.UNMOUNT_AT_ONCE, "--", cover.path], 1.0)
        processes.attempt([*platform.MOVE_MOUNT, "--", aside, cover.path], 1.0)
    finally:
        with contextlib.suppress(OSError):
            os.rmdir(aside)
    return entry_of(mount) is None
