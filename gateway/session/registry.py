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
from gateway.base.records import Fd, Record
from gateway.errors import Busy, Misconfigured, NotUnlocked
from gateway.identity.names import Principal, ProjectName, SessionId, SlotName
from gateway.session import layout, liveness

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway.base.codec import Words


def _principal(text: str) -> Principal:
    return Principal.of_fingerprint(text) if text.startswith("SHA256:") else Principal.of(text)


NAMES: Words = {
    "Principal": _principal,
    "ProjectName": ProjectName.of,
    "SlotName": SlotName.of,
    "SessionId": SessionId.of,
}
"""How the names in what sessions write and are told are checked when it is read."""


_SPACE, _FILES = 64 * 1024, 16
"""Bytes and files that a session takes in the run directory at most."""


class View(Record):
    """An unlocked project in a session."""

    project: ProjectName
    since: str


class Holder(Record):
    """Who keeps a session alive, and of its views `projects`: a channel that one key opened, with the command `kind`.

    `via` is the session of the same person's that keeps the hold, "" for a channel of its own; then no channel of the
    connection means this session.
    """

    principal: Principal
    role: str
    fingerprint: str
    address: str
    port: int
    connection: str
    kind: str
    since: str
    via: str
    projects: tuple[ProjectName, ...]

    @property
    def origin(self) -> str:
        return f"{self.address}:{self.port}"

    @property
    def who(self) -> str:
        """For people."""
        return f"{self.principal} from {self.address} with key {self.fingerprint} since {self.since}"


OWNER = "owner"
"""The role of a principal in a session of their own."""

PROTOCOL = HAS_HOLDERS = 2
"""What a session of this version understands (gateway.session.protocol). One that says nothing of it has 1: it has one
holder, who cannot be joined.
"""
_ADDED = {"protocol": 1, "holders": []}
"""Fields of a record that a session of an older gateway does not write, and what they are then."""


class Session(Record):
    """`anchor` is the command that holds it; `pid` is the warden's, as the host sees it; times are UTC, RFC 3339. Of
    several `holders`, what is told of one is told of the one that is there longest.
    """

    id: SessionId
    principal: Principal
    fingerprint: str
    address: str
    port: int
    connection: str
    anchor: str
    since: str
    pid: int
    views: tuple[View, ...] = ()
    protocol: int = PROTOCOL
    holders: tuple[Holder, ...] = ()

    def dump(self) -> str:
        from gateway.base import codec

        return codec.dumps(self)

    def has(self, project: ProjectName) -> bool:
        return any(view.project == project for view in self.views)

    def is_held_on(self, connection: str, project: ProjectName) -> bool:
        """Whether a channel of that connection holds the project in it, by whatever session."""
        return any(one.connection == connection and project in one.projects for one in self.holders)

    @property
    def keys(self) -> set[str]:
        """The fingerprints of all who hold it."""
        return {one.fingerprint for one in self.holders} or {self.fingerprint}

    def kind_on(self, connection: str) -> str:
        """The command by which a channel of that connection holds it; "" for none."""
        found = [one.kind for one in self.holders if one.connection == connection and not one.via]
        return found[0] if found else self.anchor if self.is_anchored_on(connection) else ""

    def is_anchored_on(self, connection: str) -> bool:
        """Whether a channel of that connection holds it."""
        own = [one.connection for one in self.holders if not one.via] if self.holders else [self.connection]
        return connection in own


_MAX_BYTES = 256 * 1024
"""Largest record that is read: about 2,000 views."""


def load(text: str | bytes) -> Session:
    """The session in a record. Raises ValueError for anything but what `dump` made, or made before there was `_ADDED`.
    Of what a newer version may have added we know nothing.
    """
    from gateway.base import codec  # most requests find no session: 0.2 ms

    return codec.loads(Session, text, {**NAMES, "View": View, "Holder": Holder}, _adapted)


def _adapted(values: object) -> object:
    if not isinstance(values, dict):
        return values
    values = {**_ADDED, **values}
    newer = values["protocol"]
    if type(newer) is int and newer > PROTOCOL:
        return {name: value for name, value in values.items() if name in Session._fields}
    return values


def read(path: str, name: str = layout.RECORD) -> Session | None:
    """The record of the session whose directory is `path`; None for one that shows nothing, not yet or not any more,
    and for one that is not well formed, which is no reason to fail a command.
    """
    try:
        directory = files.open_directory(path)
        try:
            session = load(files.read(name, _MAX_BYTES, directory))
        finally:
            os.close(directory)
    except (OSError, ValueError):
        return None
    return session if (session.principal, session.id) == layout.owner(path) else None


def live(run: str) -> tuple[Session, ...]:
    """Every live session of the gateway that can be reached, oldest first.

    Raises Misconfigured when the run directory cannot be read.
    """
    found = [session for principal in layout.principals(run) for session in of_principal(run, principal)]
    return tuple(sorted(found, key=_age))


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


def with_project(mine: Iterable[Session], project: ProjectName) -> Session:
    """The session that has `project` unlocked; raises NotUnlocked."""
    for session in mine:
        if session.has(project):
            return session
    raise NotUnlocked(f"{project} is not unlocked", f"`mount {project}` unlocks it")


def of_connection(mine: Iterable[Session], connection: str) -> Session | None:
    """The session that a channel of this very connection holds, if there is one."""
    return next((session for session in mine if session.is_anchored_on(connection)), None)


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
