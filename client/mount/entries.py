"""Our mounts in the mount table: told from all others by their source, which is new for each, not by path."""

from __future__ import annotations

from client.state.records import Mount
from client.system import linux
from client.system.linux import MountEntry


def find(mount: Mount) -> MountEntry | None:
    """The entry of our mount, wherever it is mounted now; None when it is gone."""
    for entry in linux.mount_table():
        if entry.source == mount.source and entry.id == mount.mount_id:  # a bind mount has the source as well
            return entry
    return None


def mounted_on(mount: Mount) -> list[MountEntry]:
    """Mounts on ours: at its own path, where they cover it, or at a path inside it."""
    return [entry for entry in linux.mount_table() if entry.parent == mount.mount_id and entry.id != mount.mount_id]


def copies(mount: Mount) -> list[MountEntry]:
    """Other mounts of the same file system (bind mounts)."""
    return [entry for entry in linux.mount_table() if entry.device == mount.device and entry.id != mount.mount_id]
