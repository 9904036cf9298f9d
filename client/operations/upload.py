"""Filling a new project with a directory: rsync runs twice over the session's connection.

The second run reads and compares everything on both sides (--checksum) and must find no difference.

rsync runs in the directory and is given `./`, so no name of the user's can be an option or a host to it. It gets an
environment without its own variables, and no home, where popt would look for aliases. What it prints is for people;
differences are told by a format that we ask for.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass

from client.connection import request, session, ssh
from client.errors import EncError, Missing
from client.mount import teardown
from client.operations import login, projects, unlocking
from client.operations.survey import Survey
from client.state import store as stores
from client.state import terminal as terminals
from client.state.config import Profile
from client.state.records import Connection
from client.state.store import Store

RSYNC = "rsync"
_NO_HOME = "/nonexistent"
_SHOWN = 3
"""How many paths a note names."""


class CopyFailed(EncError):
    """The copy into a project is not complete; the project exists."""

    code = 73
    slug = "copy-failed"


class _Differs(CopyFailed):
    """The comparison found differences."""


@dataclass(frozen=True)
class Filled:
    """How many files, links and directories were copied, and notes for the user on what is not as it was."""

    count: int
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Kept:
    """Whether hard links, times, and the modes of files that their owner may not read are as they were."""

    links: bool
    times: bool
    modes: bool


def check_installed() -> None:
    """Raises Missing without rsync."""
    if not shutil.which(RSYNC):
        raise Missing("rsync is not installed", "apt install rsync")


def fill(
    profile: Profile, project: str, source: str, survey: Survey, secret: bytes | None, *, resumed: bool = False
) -> Filled:
    """Copy the content of `source`, as `survey` found it, into `project`, compare it, and lock the project, unless it
    was unlocked here before, or is mounted meanwhile. `secret` unlocks it; None: a key of the user, or the passphrase,
    which is asked for.

    `resumed`: the project has a part of it already. What is newer in it is kept: somebody has worked there. Raises
    CopyFailed; then the project keeps what was copied.
    """
    store, terminal = stores.of(profile), terminals.this_process()
    connection: Connection | None = None
    was_held = True
    try:
        connection, _ = login.join(profile, store, terminal)
        was_held = projects.is_held_here(store, connection, project)
        if not was_held and secret is None:
            unlocking.ask(profile, project, "mount", project, store=store)
        elif not was_held:
            request.send(store, "mount", project, secret=secret)
        upload = _Upload(store, project, source, survey, resumed)
        return Filled(count=survey.count, notes=tuple(_notes(survey, upload.run())))
    finally:
        if connection and not was_held:
            _lock_own(store, connection, project)
        teardown.end_terminal(store, terminal.id)


def _lock_own(store: Store, connection: Connection, project: str) -> None:
    """Lock the project if our connection has unlocked it and nobody has mounted it meanwhile. The gateway is asked: an
    attempt that it refused unlocked nothing, and to lock is to lock it for another machine that has it.
    """
    with contextlib.suppress(EncError):  # a gateway that does not answer locks when the connection ends
        if project not in store.read().mounts and projects.is_held_here(store, connection, project):
            session.lock(store, project)


def _notes(survey: Survey, kept: _Kept) -> list[str]:
    notes = []
    if survey.skipped:
        notes.append(f"not copied, because they are sockets, FIFOs or devices: {_listed(survey.skipped)}")
    if not kept.links:
        notes.append("the gateway does not keep hard links: each was copied as a file of its own")
    if not kept.modes:
        notes.append("the gateway's rsync gave another mode to files that their owner may not read")
    if survey.closed:
        notes.append(f"copied, but not compared, because their mode closes them: {_listed(survey.closed)}")
    if not kept.times:
        notes.append("the gateway's disk cannot keep all times: they are before 1901 or after 2038, or later")
    if survey.far_sftp:
        notes.append(
            f"{survey.far_sftp} times are before 1970 or after 2106: `enc mount` shows others, because SFTP has 32 bits"
        )
    return notes


def _listed(paths: list[str]) -> str:
    more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
    return ", ".join(sorted(paths)[:_SHOWN]) + more


class _Upload:
    def __init__(self, store: Store, project: str, source: str, survey: Survey, resumed: bool) -> None:
        self._store, self._project, self._source, self._survey = store, project, source, survey
        self._kept = ["--update"] if resumed else []

    def run(self) -> _Kept:
        """Copy and compare. Raises CopyFailed."""
        links = self._copy()
        try:
            times = self._compare(links)
        except _Differs:  # gocryptfs before 2.3.2 gives linked files a wrong size
            if not (links and self._survey.linked):
                raise
            links = False
            self._run(links, "--ignore-times")
            times = self._compare(links)
        return _Kept(links=links, times=times, modes=self._modes_kept())

    def _copy(self) -> bool:
        """Copy everything. Returns whether hard links are kept: a gateway may refuse them. Raises CopyFailed."""
        progress = ["--info=progress2"] if sys.stderr.isatty() else []
        if self._survey.linked and not self._run(True, *progress, quiet=True):
            return True
        status = self._run(False, *progress)  # what failed for another reason fails again, and says why
        if status:
            raise CopyFailed(f"rsync failed with exit status {status}")
        return not self._survey.linked

    def _compare(self, links_kept: bool) -> bool:
        """Compare both sides completely, but for what the gateway may not read. Returns whether all times are kept.

        Times that a disk cannot keep may differ. Raises CopyFailed.
        """
        excluded = [_pattern(path) for path in self._survey.closed]
        changes = self._changes(links_kept, "--checksum", "--exclude-from=-", paths=excluded)
        times = sum(change in (b"t", b"T") for change in changes)
        differing = len(changes) - (times if times <= self._survey.far_disk else 0)
        if differing:
            raise _Differs(f"{differing} files differ from their copies", "did the directory change during the copy?")
        return not times

    def _modes_kept(self) -> bool:
        """Whether the files that the gateway may not read have their size, time and mode."""
        closed = [os.fsencode(path) for path in self._survey.closed]
        return not closed or not self._changes(False, "--files-from=-", paths=closed)

    def _changes(self, links: bool, *options: str, paths: list[bytes]) -> list[bytes]:
        """What rsync would change in each file that differs, in its letters (%i). `paths` is its standard input."""
        asked = ["--dry-run", "--modify-window=-1", "--info=NONE", "--out-format=%i", "--from0"]
        done = subprocess.run(
            self._argv(links, *asked, *options),
            input=b"".join(path + b"\0" for path in paths),
            stdout=subprocess.PIPE,
            cwd=self._source,
            env=_environment(),
            check=False,
        )
        if done.returncode:
            message = f"the copy could not be compared: rsync failed with exit status {done.returncode}"
            raise CopyFailed(message, "try `rsync` by hand")
        return [line[2:].strip(b".") for line in done.stdout.splitlines()]

    def _run(self, links: bool, *options: str, quiet: bool = False) -> int:
        errors = subprocess.DEVNULL if quiet else None
        return subprocess.call(
            self._argv(links, *self._kept, *options),
            stdout=sys.stderr,
            stderr=errors,
            cwd=self._source,
            env=_environment(),
        )

    def _argv(self, links: bool, *options: str) -> list[str]:
        return [
            RSYNC,
            "-rlptSX",  # -a without owners, groups, devices and sockets, which a project cannot have; with holes
            *(["--hard-links"] if links else []),
            "--info=NONREG0",
            *options,
            "-e",
            shlex.join(ssh.shared(self._store)),
            "--",
            "./",
            f"enc:{self._project}/",
        ]


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RSYNC_")}
    return {**kept, "HOME": _NO_HOME}


def _pattern(path: str) -> bytes:
    """The rsync pattern that matches this path from the top alone. A backslash is special only beside wildcards."""
    name = os.fsencode(path)
    if any(char in name for char in b"*?["):
        for char in (b"\\", b"*", b"?", b"["):
            name = name.replace(char, b"\\" + char)
    return b"/" + name
