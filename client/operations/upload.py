"""Filling a new project with a directory: rsync over the session's connection, twice.

The second time it reads and compares everything on both sides (--checksum), and must find nothing to do.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys

from client.connection import session, ssh
from client.errors import EncError, Missing
from client.mount import teardown
from client.state.config import Profile
from client.state.store import Store

RSYNC = "rsync"


class CopyFailed(EncError):
    """A copy into a project did not arrive whole; the project is there."""

    code = 73
    slug = "copy-failed"


def need_rsync() -> None:
    if not shutil.which(RSYNC):
        raise Missing("rsync is not installed", "apt install rsync")


def fill(profile: Profile, project: str, source: str, passphrase: bytes) -> int:
    """Copy what is in `source` into `project`, compare, and lock it again; how many files and directories there are.

    Raises CopyFailed, with the project and what has arrived left as they are.
    """
    store, terminal = profile.store(), session.myself()
    try:
        session.join(profile, store, terminal)
        ssh.ask(store, "mount", project, secret=passphrase)
        _copy(store, project, source)
        return _compared(store, project, source)
    finally:
        teardown.lock(store, project)
        teardown.end_terminal(store, terminal.id)


def _rsync(store: Store, project: str, source: str, *options: str) -> list[str]:
    return [
        RSYNC,
        "-rlpt",  # as -a, but for owners, groups and devices, which a project cannot have
        *options,
        "-e",
        shlex.join(ssh.shared(store)),
        "--",
        f"{source.rstrip('/')}/",
        f"enc:{project}/",
    ]


def _copy(store: Store, project: str, source: str) -> None:
    bar = ["--info=progress2"] if sys.stderr.isatty() else []
    status = subprocess.call(_rsync(store, project, source, *bar), stdout=sys.stderr)
    if status:
        raise CopyFailed(f"rsync ended with {status}", f"{project} is there, and has a part of it")


def _compared(store: Store, project: str, source: str) -> int:
    """Have both sides read it all and compare; the number of files and directories."""
    argv = _rsync(store, project, source, "--checksum", "--dry-run", "--itemize-changes", "--stats")
    done = subprocess.run(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, errors="replace", check=False
    )
    lines = done.stdout.splitlines()
    stats = lines.index("") if "" in lines else len(lines)
    if done.returncode:
        raise CopyFailed(f"the copy could not be compared: rsync ended with {done.returncode}", "try `rsync` by hand")
    if stats:
        raise CopyFailed(f"{stats} files differ from their copies", "was the directory changed meanwhile?")
    return sum(len(names) + len(files) for _, names, files in os.walk(source))
