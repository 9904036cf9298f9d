"""Copying trees between a directory here and a project: rsync runs twice over the session's connection.

The second run reads and compares everything on both sides (--checksum) and must find no difference.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

from client.errors import CannotCreate, FromGateway
from client.mount import sftp
from client.operations import holding, rsync, survey
from client.operations.holding import Held
from client.operations.project_path import ProjectPath
from client.operations.rsync import CopyFailed, Job, Rsync
from client.operations.survey import CannotRead, Survey
from client.state.config import Profile

_SHOWN = 3
"""How many paths a note names."""
_ANSWER_SECONDS = 20.0


class _Differs(CopyFailed):
    """The comparison found differences."""


class Copied(NamedTuple):
    """How many files, links and directories were copied or were there already, how many things are none of these, and
    notes for the user on what is not as it was.
    """

    total: int
    skipped: int
    notes: tuple[str, ...]


class _Kept(NamedTuple):
    """Whether hard links, times, and the modes of files that their owner may not read are as they were."""

    links: bool
    times: bool
    modes: bool


def fill(
    profile: Profile, project: str, source: str, found: Survey, secret: bytes | None, *, resumed: bool = False
) -> Copied:
    """Copy the content of `source`, as `found` says what it is, into the new `project`, and compare it. `secret`
    unlocks it, as for `holding.unlocked`.

    `resumed`: the project has a part of it already. What is newer in it is kept: somebody has worked there. Raises
    CopyFailed; then the project keeps what was copied.
    """
    with holding.unlocked(profile, project, secret) as held:
        return _send(held, Job(source, ProjectPath(project, ""), keeps_newer=resumed), found)


def push(profile: Profile, source: str, place: ProjectPath, found: Survey, deletes: bool) -> Copied:
    """Copy the content of `source`, as `found` says what it is, into `place`, which is made, and compare it.

    Raises CannotRead, FromGateway for who may only read the project, CopyFailed.
    """
    with holding.unlocked(profile, place.project) as held:
        require_writer(held, place.project)
        if place.path and _is_directory(held, place) is False:
            raise CannotCreate(f"{place} is a file, and a directory's content needs a directory", "name another path")
        return _told(_send(held, Job(source, place, deletes=deletes, in_place=not found.holes), found), held)


def pull(profile: Profile, place: ProjectPath, target: str, deletes: bool) -> Copied:
    """Copy the content of `place` into the directory `target`, which is made, and compare it.

    Raises CannotRead, CannotCreate, CopyFailed.
    """
    _check_target(target)
    with holding.unlocked(profile, place.project) as held:
        found = _is_directory(held, place) if place.path else True
        if not found:
            message = f"{place} is a file, and a pull takes a directory" if found is False else f"there is no {place}"
            raise CannotRead(message, f"`enc run {place.project} -- ls` shows what is there")
        try:
            os.makedirs(target, 0o700, exist_ok=True)
        except OSError as error:
            raise CannotCreate(f"{target} cannot be made: {error.strerror}", "name another directory") from error
        copied = _Copy(Rsync(held.store, Job(target, place, pulls=True, deletes=deletes, in_place=True)), None)
        kept = copied.run()
        notes = _pull_notes(target, kept, copied.compared.skipped)
        return _told(Copied(copied.compared.total, len(copied.compared.skipped), tuple(notes)), held)


def require_writer(held: Held, project: str) -> None:
    """Raises FromGateway, in the words of the gateway, for who may only read the project."""
    if held.read_only:
        raise FromGateway(f"you can read {project}, and not change it", "ask its owner to let you write", 77, "denied")


def _check_target(target: str) -> None:
    """Raises CannotCreate for a directory that nothing can be copied into."""
    at = os.path.abspath(target)
    while not os.path.lexists(at):
        at = os.path.dirname(at)
    if not os.path.isdir(at):
        raise CannotCreate(f"{at} is no directory", "name a directory, which enc makes if it is not there")
    if not os.access(at, os.W_OK | os.X_OK):
        raise CannotCreate(f"you may not write into {at}", "name another directory")


def _is_directory(held: Held, place: ProjectPath) -> bool | None:
    """Whether there is a directory; None if there is nothing. Raises CopyFailed if the gateway does not say."""
    try:
        with sftp.connected(held.store, place.project, _ANSWER_SECONDS) as client:
            return client.is_directory(f"{place.project}/{place.path}")
    except OSError as error:
        raise CopyFailed(f"the gateway does not say what {place} is", "try again") from error


def _told(copied: Copied, held: Held) -> Copied:
    return copied._replace(notes=((held.note,) if held.note else ()) + copied.notes)


def _send(held: Held, job: Job, found: Survey) -> Copied:
    kept = _Copy(Rsync(held.store, job), found).run()
    return Copied(found.count, len(found.skipped), tuple(_push_notes(found, kept)))


def _push_notes(found: Survey, kept: _Kept) -> list[str]:
    notes = _skipped(found.skipped)
    if not kept.links:
        notes.append("the gateway does not keep hard links: each was copied as a file of its own")
    if not kept.modes:
        notes.append("the gateway's rsync gave another mode to files that their owner may not read")
    if found.closed:
        notes.append(f"copied, but not compared, because their mode closes them: {_listed(found.closed)}")
    if not kept.times:
        notes.append("the gateway's disk cannot keep all times: they are before 1901 or after 2038, or later")
    if found.far_sftp:
        notes.append(
            f"{found.far_sftp} times are before 1970 or after 2106: `enc mount` shows others, because SFTP has 32 bits"
        )
    return notes


def _pull_notes(target: str, kept: _Kept, skipped: Sequence[str]) -> list[str]:
    notes = _skipped(skipped)
    if not kept.links:
        notes.append("hard links could not be kept: each was copied as a file of its own")
    if not kept.times:
        notes.append("this disk cannot keep all times")
    if leading := survey.leading_out(target):
        notes.append(f"symbolic links that lead out of the directory: {_listed(leading)}")
    return notes


def _skipped(paths: Sequence[str]) -> list[str]:
    return [f"not copied, because they are sockets, FIFOs or devices: {_listed(paths)}"] if paths else []


def _listed(paths: Sequence[str]) -> str:
    more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
    return ", ".join(sorted(paths)[:_SHOWN]) + more


class _Copy:
    """`found` is what the source has; None for a project, where we cannot look."""

    def __init__(self, runs: Rsync, found: Survey | None) -> None:
        self._rsync, self._found = runs, found
        self._linked = found.linked if found else True
        self._closed = found.closed if found else []
        self.compared = rsync.Comparison([])

    def run(self) -> _Kept:
        """Copy and compare. Raises CopyFailed."""
        links = self._copy()
        try:
            times = self._compare(links)
        except _Differs:  # gocryptfs before 2.3.2 gives linked files a wrong size
            if not (links and self._linked):
                raise
            links = False
            self._rsync.copy(links, "--ignore-times")
            times = self._compare(links)
        return _Kept(links, times, self._modes_kept())

    def _copy(self) -> bool:
        """Copy everything. Returns whether hard links are kept: the target may refuse them. Raises CopyFailed."""
        if self._linked and not self._rsync.copy(True, quiet=True):
            return True
        if why := self._rsync.copy(False):  # what failed for another reason fails again, and says why
            raise CopyFailed(why)
        return not self._linked

    def _compare(self, links_kept: bool) -> bool:
        """Compare both sides completely, but for what the gateway may not read. Returns whether all times are kept.

        Times that a disk cannot keep may differ. Raises CopyFailed.
        """
        excluded = [rsync.pattern(path) for path in self._closed]
        self.compared = self._rsync.compare(links_kept, "--checksum", "--exclude-from=-", paths=excluded)
        changes = self.compared.differences
        times = sum(change in (b"t", b"T") for change in changes)
        differing = len(changes) - (times if self._found is None or times <= self._found.far_disk else 0)
        if differing:
            raise _Differs(f"{differing} files differ from their copies", "did the directory change during the copy?")
        return not times

    def _modes_kept(self) -> bool:
        """Whether the files that the gateway may not read have their size, time and mode."""
        closed = [os.fsencode(path) for path in self._closed]
        return not closed or not self._rsync.compare(False, "--files-from=-", paths=closed).differences
