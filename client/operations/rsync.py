"""Running rsync between a directory here and a place in a project, over the connection that is open.

rsync runs in the directory and is given `./`, so no name of the user's can be an option or a host to it. It gets an
environment without its own variables, and no home, where popt would look for aliases. What it prints is for people;
differences are told by a format that we ask for.

The other side may be hostile, and rsync has had holes towards it. So the kernel confines rsync and the ssh that it
starts (client.system.landlock): they can read nothing of the user's but that directory, and change nothing else. What a
pull receives has no owners, groups, devices and set-user-id bits, and of attributes only `user.` ones: others give a
file rights if root runs this.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Sequence
from typing import IO, NamedTuple

from client.connection import ssh
from client.errors import EncError, Missing
from client.operations import complaints
from client.operations.project_path import ProjectPath
from client.state.store import Store
from client.system import children, landlock

RSYNC = "rsync"
_NO_HOME = "/nonexistent"
_COPIES = ("-rlptSX", "--modify-window=-1", "--info=NONREG0")
"""-a without owners, groups, devices and sockets, which a project cannot have; with holes and attributes, and
times compared to the nanosecond.
"""
_NEW_ONES = ("--inplace", "--ignore-existing")
"""A run for what the target lacks. A file that is there already is replaced when its new content is complete, by the
next run.
"""
_RECEIVES = ("--no-inc-recursive", "--filter=-x! user.*", "--chmod=Fug-s")
_ASKS = ("--dry-run", "--out-format=%i", "--from0", "--info=NONE")
_FILES = re.compile(rb"Number of files: ([0-9,]+)")
_SPECIAL = re.compile(rb"special: ([0-9,]+)")
_SKIPPED = b"skipping non-regular file "


class CopyFailed(EncError):
    """A copy into or out of a project is not complete."""

    code = 73
    slug = "copy-failed"


class Job(NamedTuple):
    """`pulls`: from the place in the project into the directory, else the other way. `deletes` what the source has not.

    `in_place`: what the target lacks is written under its own name, so that what there is of a file when the copy ends
    early is not sent again; the gateway makes no holes then. `keeps_newer`: what is newer in the target stays, and a
    part of a file is newer.
    """

    directory: str
    place: ProjectPath
    pulls: bool = False
    deletes: bool = False
    in_place: bool = False
    keeps_newer: bool = False


class Comparison(NamedTuple):
    """For each file that differs, in rsync's letters (%i), what does. `total` is the number of files, links and
    directories of the source, `skipped` those that are none: both only of a pull.
    """

    differences: list[bytes]
    total: int = 0
    skipped: tuple[str, ...] = ()


class Rsync:
    """rsync for one job."""

    def __init__(self, store: Store, job: Job) -> None:
        self._store, self._job = store, job

    def copy(self, links: bool, *options: str, quiet: bool = False) -> str:
        """Copy, with hard links if `links`; why it failed, or "". Progress goes to standard error, and warnings unless
        `quiet`.
        """
        progress = ("--info=progress2",) if sys.stderr.isatty() else ()
        keeps = ("--update",) if self._job.keeps_newer else ()
        if self._job.in_place:
            self._call(self._argv(links, *_NEW_ONES, *progress), sys.stderr)  # what fails here fails below
        status, text = self._call(self._argv(links, *keeps, *progress, *options), sys.stderr)
        return complaints.reason(RSYNC, text, status, quiet)

    def compare(self, links: bool, *options: str, paths: Sequence[bytes] = ()) -> Comparison:
        """What a copy would change. `paths` are rsync's standard input. Raises CopyFailed."""
        info = ("--info=NONREG1,STATS2",) if self._job.pulls else ()
        with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as said:
            given.writelines(path + b"\0" for path in paths)
            given.seek(0)
            status, text = self._call(self._argv(links, *_ASKS, *info, *options), said, given)
            if why := complaints.reason(RSYNC, text, status):
                raise CopyFailed(f"the copy could not be compared: {why}")
            said.seek(0)
            return _comparison(said.read())

    def _call(self, argv: list[str], stdout: IO[bytes] | IO[str], stdin: IO[bytes] | None = None) -> tuple[int, str]:
        directory, pulls = self._job.directory, self._job.pulls
        programs = [os.path.realpath(found) for name in (RSYNC, ssh.SSH) if (found := shutil.which(name))]
        with landlock.confined(directory, pulls, programs) as confine:
            if pulls and not confine:
                raise _not_confined()
            return children.complaints(
                argv, confine=confine, stdin=stdin, stdout=stdout, cwd=directory, env=_environment()
            )

    def _argv(self, links: bool, *options: str) -> list[str]:
        job = self._job
        there = f"enc:{job.place.project}/{_literal(job.place.path)}{'/' if job.place.path else ''}"
        return [
            *(RSYNC, *_COPIES),
            *(_RECEIVES if job.pulls else ("--mkpath",) if job.place.path else ()),
            *(("--hard-links",) if links else ()),
            *(("--delete",) if job.deletes and _NEW_ONES[0] not in options else ()),
            *options,
            *("-e", shlex.join(ssh.shared(self._store)), "--"),
            *((there, "./") if job.pulls else ("./", there)),
        ]


def check_installed(pulls: bool = False) -> None:
    """Raises Missing without rsync, and for a pull where the kernel cannot confine it."""
    if not shutil.which(RSYNC):
        raise Missing("rsync is not installed", "apt install rsync")
    if pulls:
        with landlock.confined(os.sep, False, ()) as confine:
            if not confine:
                raise _not_confined()


def _not_confined() -> Missing:
    message = "this kernel has no Landlock (Linux 5.19), which keeps rsync from writing elsewhere"
    return Missing(message, "copy from a mount instead: `enc mount`, then `cp -a`")


def pattern(path: str) -> bytes:
    """The rsync pattern that matches this path from the top alone. A backslash is special only beside wildcards."""
    name = os.fsencode(path)
    if any(char in name for char in b"*?["):
        for char in (b"\\", b"*", b"?", b"["):
            name = name.replace(char, b"\\" + char)
    return b"/" + name


def _literal(path: str) -> str:
    """The path for rsync's command line, where a backslash is special only before a wildcard."""
    return re.sub(r"([*?\[\]])", r"\\\1", path)


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RSYNC_")}
    return {**kept, "HOME": _NO_HOME}


def _comparison(said: bytes) -> Comparison:
    lines = (b"\n" + said).partition(b"\n\n")[0].splitlines()  # a blank line is before the statistics
    differences = [line[2:].strip(b". ") for line in lines if line and not line.startswith(_SKIPPED)]
    skipped = [line.removeprefix(_SKIPPED).strip(b'"') for line in lines if line.startswith(_SKIPPED)]
    files, special = _FILES.search(said), _SPECIAL.search(said)
    total = _number(files) - _number(special) - 1  # the top
    return Comparison(differences, max(total, 0), tuple(os.fsdecode(path) for path in skipped))


def _number(found: re.Match[bytes] | None) -> int:
    return int(found[1].replace(b",", b"")) if found else 0
