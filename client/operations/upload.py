"""Filling a new project with a directory: rsync runs twice over the session's connection.

The second run reads and compares everything on both sides (--checksum) and must find no difference.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys

from client.connection import request, session, ssh
from client.errors import EncError, Missing
from client.mount import teardown
from client.operations import login
from client.state import store as stores
from client.state import terminal as terminals
from client.state.config import Profile
from client.state.store import Store

RSYNC = "rsync"


class CopyFailed(EncError):
    """The copy into a project is not complete; the project exists."""

    code = 73
    slug = "copy-failed"


def check_installed() -> None:
    """Raises Missing without rsync."""
    if not shutil.which(RSYNC):
        raise Missing("rsync is not installed", "apt install rsync")


def fill(profile: Profile, project: str, source: str, passphrase: bytes) -> int:
    """Copy the content of `source` into `project`, compare it, and lock the project.

    Returns the number of files and directories. Raises CopyFailed; then the project keeps what was copied.
    """
    store, terminal = stores.of(profile), terminals.this_process()
    try:
        login.join(profile, store, terminal)
        request.send(store, "mount", project, secret=passphrase)
        _copy(store, project, source)
        return _compare(store, project, source)
    finally:
        session.lock(store, project)
        teardown.end_terminal(store, terminal.id)


def _rsync(store: Store, project: str, source: str, *options: str) -> list[str]:
    return [
        RSYNC,
        "-rlpt",  # -a without owners, groups and devices, which a project cannot have
        *options,
        "-e",
        shlex.join(ssh.shared(store)),
        "--",
        f"{source.rstrip('/')}/",
        f"enc:{project}/",
    ]


def _copy(store: Store, project: str, source: str) -> None:
    progress = ["--info=progress2"] if sys.stderr.isatty() else []
    status = subprocess.call(_rsync(store, project, source, *progress), stdout=sys.stderr)
    if status:
        raise CopyFailed(f"rsync failed with exit status {status}", f"{project} exists, with a part of the files")


def _compare(store: Store, project: str, source: str) -> int:
    """Compare both sides completely; the number of files and directories."""
    argv = _rsync(store, project, source, "--checksum", "--dry-run", "--itemize-changes", "--stats")
    done = subprocess.run(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, errors="replace", check=False
    )
    lines = done.stdout.splitlines()
    differing = lines.index("") if "" in lines else len(lines)  # an empty line separates the files from the statistics
    if done.returncode:
        message = f"the copy could not be compared: rsync failed with exit status {done.returncode}"
        raise CopyFailed(message, "try `rsync` by hand")
    if differing:
        raise CopyFailed(f"{differing} files differ from their copies", "did the directory change during the copy?")
    return sum(len(names) + len(files) for _, names, files in os.walk(source))
