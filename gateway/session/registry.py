"""The records of live sessions (gateway.session.layout has where they lie).

The warden holds `lock` for life (gateway.session.liveness), so a record whose lock nobody holds is that of a dead
session: readers ignore it, and gateway.session.cleanup removes it. A session becomes visible by the rename of a
directory whose lock is held already, so it is never taken for a dead one.

A record is read as from a stranger. It counts if it is well formed and names the session in whose directory it lies.
Its `pid` is a number that somebody wrote: gateway.session.warden_process tells whether it is the warden's.
"""

from __future__ import annotations

import os

from gateway.base import files, locks
from gateway.base.records import Fd
from gateway.errors import Busy, Misconfigured, NotUnlocked
from gateway.identity.names import Named, Principal, SessionId
from gateway.session import layout, liveness
from gateway.session.record import HAS_HOLDERS as HAS_HOLDERS
from gateway.session.record import HAS_MEMBERS as HAS_MEMBERS
from gateway.session.record import HAS_WORKSPACES as HAS_WORKSPACES
from gateway.session.record import NAMES as NAMES
from gateway.session.record import OWNER as OWNER
from gateway.session.record import PROTOCOL as PROTOCOL
from gateway.session.record import READER as READER
from gateway.session.record import WRITER as WRITER
from gateway.session.record import Holder as Holder
from gateway.session.record import Session as Session
from gateway.session.record import View as View
from gateway.session.record import load as load

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


_SPACE, _FILES = 64 * 1024, 16
"""Bytes and files that a session takes in the run directory at most."""


_MAX_BYTES = 256 * 1024
"""Largest record that is read: about 2,000 views."""
_LEAST = 256


def read(path: str, name: str = layout.RECORD) -> Session | None:
    """The record of the session whose directory is `path`; None for one that shows nothing, not yet or not any more,
    and for one that is not well formed, which is no reason to fail a command.
    """
    return _parsed(path, _content(path, name))


def _content(path: str, name: str) -> bytes:
    """b"" for what cannot be read."""
    try:
        directory = files.open_directory(path)
        try:
            return files.read(name, _MAX_BYTES, directory)
        finally:
            os.close(directory)
    except OSError:
        return b""


def _parsed(path: str, content: bytes) -> Session | None:
    try:
        session = load(content)
    except ValueError:
        return None
    return session if (session.principal, session.id) == layout.owner(path) else None


def live(run: str) -> tuple[Session, ...]:
    """Every live session of the gateway that can be reached, oldest first.

    Raises Misconfigured when the run directory cannot be read.
    """
    found = [session for principal in layout.principals(run) for session in of_principal(run, principal)]
    return tuple(sorted(found, key=_age))


def some(run: str, most: int) -> tuple[tuple[Session, ...], bool]:
    """As `live`, but what is read ends with `most` bytes, and each session counts _LEAST, a dead one as well: for who
    must not be kept by what the account puts there. Also returns whether these are all.
    """
    found: list[Session] = []
    for principal in layout.principals(run):
        for path in layout.sessions(run, principal):
            content = _content(path, layout.RECORD) if liveness.is_live(path) else b""
            most -= max(len(content), _LEAST)
            if most < 0:
                return tuple(sorted(found, key=_age)), False
            if session := _parsed(path, content):
                found.append(session)
    return tuple(sorted(found, key=_age)), True


def of_principal(run: str, principal: Principal) -> tuple[Session, ...]:
    """The principal's live sessions, as `live` has them. Nothing of other principals is looked at."""
    found = (read(path) for path in layout.sessions(run, principal) if liveness.is_live(path))
    return tuple(sorted(filter(None, found), key=_age))


def _age(session: Session) -> tuple[str, str]:
    return session.since, session.id


def prepare(run: str, principal: Principal) -> tuple[SessionId, str, Fd]:
    """A new session's id, its directory and its lock, held by the returned descriptor. Raises Misconfigured."""
    home = layout.home(run, principal)
    id_ = SessionId(f"s-{os.urandom(6).hex()}")
    staged, final = os.path.join(home, files.STAGED + id_), layout.path(run, principal, id_)
    try:
        os.makedirs(home, 0o700, exist_ok=True)
        os.mkdir(staged, 0o700)
        fd = Fd(os.open(os.path.join(staged, layout.LOCK), os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        locks.hold(fd)
        os.rename(staged, final)
    except OSError as error:
        raise Misconfigured("the gateway cannot write its run directory", error.strerror) from error
    return id_, final, fd


def publish(path: str, session: Session) -> None:
    """Write the record of `session` into its directory `path`, at once as a whole. Raises OSError."""
    record, text = os.path.join(path, layout.RECORD), session.dump().encode()
    try:
        files.replace(record, text, durable=False)
    except OSError:
        if not _overwrite(record, text):
            raise


def _overwrite(record: str, text: bytes) -> bool:
    """Write a record over the one that is there, if it is no longer: for a new file there is no space, and one with a
    view less must be shown then as well.
    """
    try:
        fd = os.open(record, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        size = os.fstat(fd).st_size
        return len(text) <= size and os.pwrite(fd, text.ljust(size), 0) == size
    except OSError:
        return False
    finally:
        os.close(fd)


def require_space(run: str) -> None:
    """Raise Misconfigured when a session could not be shown for want of space: before a passphrase is asked for."""
    found = os.statvfs(run)
    if found.f_bavail * found.f_frsize < _SPACE or (found.f_files and found.f_favail < _FILES):
        raise Misconfigured("the gateway's run directory is full", "tell your sysadmin")


def retire(path: str) -> None:
    """Take back what a session shows the world, once its views are locked. Its record stays as `layout.ENDING`, until
    `forget`: if the warden is killed before it has written the session's end into the audit log,
    gateway.session.cleanup writes it.
    """
    layout.unlink(os.path.join(path, layout.SOCKET))
    try:
        os.rename(os.path.join(path, layout.RECORD), os.path.join(path, layout.ENDING))
    except FileNotFoundError:  # it has shown nothing yet
        return


def forget(path: str) -> None:
    """The end of a session is in the audit log. gateway.session.cleanup removes its directory."""
    layout.unlink(os.path.join(path, layout.ENDING))


def with_project(mine: Iterable[Session], project: Named) -> Session:
    """The session that has `project` unlocked; raises NotUnlocked."""
    for session in mine:
        if session.has(project):
            return session
    raise NotUnlocked(f"{project} is not unlocked", f"`mount {project}` unlocks it")


def of_connection(mine: Iterable[Session], connection: str) -> Session | None:
    """The session that a channel of this very connection holds, if there is one: the first that is not for one project
    alone, which the others of the connection are not to stand beside.
    """
    found = [session for session in mine if session.is_anchored_on(connection)]
    return next((session for session in found if not session.shared), found[0] if found else None)


def find(mine: tuple[Session, ...], connection: str) -> Session:
    """The session that a channel without a project means: its connection's, else the only one.

    Raises NotUnlocked when there is none, Busy when there are several.
    """
    here = of_connection(mine, connection)
    if here:
        return here
    if not mine:
        raise NotUnlocked("nothing is unlocked", "`mount PROJECT` unlocks a project")
    if len(mine) > 1:
        listed = ", ".join(f"{session.id} ({' '.join(view.project for view in session.views)})" for session in mine)
        raise Busy(f"you have several sessions: {listed}", "name a project, or use the connection of one of them")
    return mine[0]
