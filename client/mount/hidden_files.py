"""Files that were deleted while a program had them open: libfuse renames them, and removes them when they are closed.

An sshfs that is killed (`enc unmount --force`, a terminal that closed) cannot remove them, and they would stay in the
project for good. Their names tell nothing of where they are, but the programs that have them open do: /proc shows it.
"""

from __future__ import annotations

import os
import struct
import subprocess

from client.connection import ssh
from client.state.records import Mount
from client.state.store import Store
from client.system import children, linux

_NAME = ".fuse_hidden"
_INIT, _REMOVE, _VERSION = 1, 13, 3
"""Of the SSH File Transfer Protocol, version 3 (draft-ietf-secsh-filexfer-02)."""


def open_in(mount: Mount) -> list[str]:
    """The paths, from the top of the project, of such files of ours that a program of this user has open."""
    if not mount.mount_id:
        return []
    found = linux.files_open_in(mount.directory)
    return sorted(
        path.removeprefix(f"{mount.directory}/") for path in found if os.path.basename(path).startswith(_NAME)
    )


def remove(store: Store, project: str, paths: list[str], seconds: float) -> None:
    """Remove them on the gateway, over the connection, within `seconds`. What cannot be removed stays."""
    if not paths:
        return
    words = [_packet(struct.pack(">BI", _INIT, _VERSION))]
    for number, path in enumerate(paths):
        name = os.fsencode(os.path.join(project, path))
        words.append(_packet(struct.pack(">BII", _REMOVE, number, len(name)) + name))
    argv = [*ssh.shared(store), "-T", "-s", "--", "enc", "sftp"]
    try:
        children.run(argv, input=b"".join(words), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=seconds)
    except (OSError, subprocess.TimeoutExpired):
        return


def _packet(content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + content
