"""Files that were deleted while a program had them open: libfuse renames them, and removes them when they are closed.

An sshfs that is killed (`enc unmount --force`, a terminal that closed, a connection that broke) cannot remove them, and
they would stay in the project for good. The kernel does not know the new names, but /proc shows in which directories a
deleted file is open, and its inode, with which the new name begins: libfuse's own number of the file.

Where the mount still answers, the names are looked up, and the files removed, at once. Otherwise what /proc shows is
noted, and the files are removed after the next unlock by this `enc`, before anything is mounted: while the project was
locked nobody had a file open in it.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess

from client.mount import sftp
from client.state.records import Mount
from client.state.store import Store
from client.system import files, linux, names

_NAME = ".fuse_hidden"
_MOST = 100
"""How many are removed at once."""
_NUMBER = re.compile(r"[0-9a-f]{8}")
"""An inode, and the counter that follows it in a name and ends it (libfuse's hidden_name). Other names are a user's."""


def open_in(mount: Mount, seconds: float) -> list[str]:
    """The paths, from the top of the project, of such files beside a deleted one that a program of this user has open.

    Found within `seconds`, else none: the mount may not answer.
    """
    found = linux.deleted_files_open_in(mount.mount_id, mount.directory)
    wanted = {(os.path.normpath(os.path.join(mount.directory, below)), _beginning(inode)) for below, inode in found}
    if not wanted:
        return []
    directories = sorted({directory for directory, _ in wanted})
    argv = ["find", *directories, "-maxdepth", "1", "-name", f"{_NAME}*", "-type", "f", "-print0"]
    try:
        child = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd="/"
        )
    except OSError:
        return []
    try:
        output, _ = child.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:  # not waited for: it may hang in the kernel
        child.kill()
        return []
    paths = [os.fsdecode(path) for path in output.split(b"\0")]
    hidden = [path for path in paths if (os.path.dirname(path), _begins(os.path.basename(path))) in wanted]
    return [path.removeprefix(f"{mount.directory}/") for path in hidden[:_MOST]]


def _beginning(inode: int) -> str:
    return f"{_NAME}{inode & 0xFFFFFFFF:08x}"


def _begins(name: str) -> str:
    """How the name of a hidden file begins, with the inode; "" for another name."""
    end = len(_NAME) + 8
    return name[:end] if name.startswith(_NAME) and _NUMBER.fullmatch(name[end:]) else ""


def remove(store: Store, project: str, paths: list[str], seconds: float) -> None:
    """Remove them on the gateway, over the connection, within `seconds`. What cannot be removed stays."""
    if not paths:
        return
    with contextlib.suppress(OSError), sftp.connected(store, project, seconds) as client:
        for path in paths:
            client.remove(os.path.join(project, path))


def note(store: Store, mount: Mount) -> None:
    """Note what would be left if sshfs ended now, for `remove_left`."""
    found = linux.deleted_files_open_in(mount.mount_id, mount.directory)
    if not found:
        return
    noted = _noted(store, mount.project)
    for below, inode in sorted(found)[:_MOST]:
        noted.setdefault(below, []).append(_beginning(inode).removeprefix(_NAME))
    with contextlib.suppress(OSError, UnicodeError):  # no reason to leave a mount
        files.replace(_file(store, mount.project), json.dumps(noted))


def remove_left(store: Store, project: str, seconds: float) -> None:
    """Remove what is noted of a project that has just been unlocked. What cannot be removed in time stays."""
    noted = _noted(store, project)
    if not noted:
        return
    with contextlib.suppress(OSError):
        os.unlink(_file(store, project))
        with sftp.connected(store, project, seconds) as client:
            for below, inodes in noted.items():
                directory = os.path.normpath(os.path.join(project, below))
                if directory != project and not directory.startswith(f"{project}/"):
                    continue
                beginnings = {_NAME + inode for inode in inodes if _NUMBER.fullmatch(inode)}
                for name in client.names(directory):
                    if _begins(name) in beginnings:
                        client.remove(f"{directory}/{name}")


def _file(store: Store, project: str) -> str:
    return os.path.join(store.directory, f"hidden-{names.in_file_name(project)}")


def _noted(store: Store, project: str) -> dict[str, list[str]]:
    """What is noted: for each directory, from the top of the project, inodes in hexadecimal."""
    try:
        with open(_file(store, project), encoding="utf-8") as file:
            noted = json.load(file)
    except (OSError, ValueError):
        return {}
    if not isinstance(noted, dict) or not all(isinstance(value, list) for value in noted.values()):
        return {}
    return {str(key): [str(one) for one in value] for key, value in noted.items()}
