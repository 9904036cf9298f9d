"""Records of live sessions: `<paths.run>/sessions/<id>/` with `record.json`, `sock` and `lock`.

The warden holds `lock` (flock) for life, so a record whose lock can be taken is that of a dead session: it is
ignored by readers and swept by the next caller. A session becomes visible by the rename of a directory whose lock
is held already, hence no sweep can take a live one.
"""

from __future__ import annotations

import fcntl
import os

from gateway import drafts, plainjson
from gateway.errors import Busy, Misconfigured, NotUnlocked, Usage
from gateway.names import Principal, ProjectName, SessionId
from gateway.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

RECORD, SOCKET, LOCK = "record.json", "sock", "lock"
_UNFINISHED = RECORD + ".new"


class View(Record):
    """An unlocked project in a session."""

    project: ProjectName
    since: str


class Session(Record):
    """`anchor` is the command that holds it; `pid` is the warden's, as the host sees it; times are UTC, RFC 3339."""

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

    def dump(self) -> str:
        return plainjson.dumps({**self.as_dict(), "views": [view.as_dict() for view in self.views]})

    def has(self, project: ProjectName) -> bool:
        return any(view.project == project for view in self.views)


def load(text: str) -> Session:
    """The session in a record. Raises ValueError or TypeError for anything but what `dump` made."""
    values = plainjson.loads(text)
    try:
        views = tuple(View(project=ProjectName.of(view["project"]), since=view["since"]) for view in values["views"])
        checked = {"id": SessionId.of(values["id"]), "principal": Principal(values["principal"]), "views": views}
        return Session(**{**values, **checked})
    except (KeyError, Usage) as error:
        raise ValueError("not a session's record") from error


def directory(run: str) -> str:
    """Where the sessions are. Made by the first of them, and by nobody who only looks: a look by root must not take it
    away from the gateway's account.
    """
    return os.path.join(run, "sessions")


def _entries(root: str) -> list[str]:
    try:
        return os.listdir(root)
    except FileNotFoundError:  # there was no session yet
        return []
    except OSError as error:
        raise Misconfigured("the gateway cannot read its run directory", error.strerror) from error


def live(run: str) -> tuple[Session, ...]:
    """Every live session of the gateway, oldest first; what dead ones left behind is removed."""
    found = []
    root = directory(run)
    entries = _entries(root)
    for draft in drafts.abandoned(root):
        _sweep_draft(draft)
    for entry in entries:
        path = os.path.join(root, entry)
        if not SessionId.accepts(entry) or sweep(path):
            continue
        try:
            with open(os.path.join(path, RECORD), encoding="utf-8") as file:
                found.append(load(file.read()))
        except FileNotFoundError:  # not unlocked yet, or ended since we listed
            continue
        except (ValueError, TypeError):  # of another version of this gateway: no reason to fail everybody's commands
            continue
    return tuple(sorted(found, key=lambda session: (session.since, session.id)))


def held(run: str) -> int:
    """How many sessions live or are being started, also such as show nothing yet."""
    root = directory(run)
    return sum(SessionId.accepts(entry) and not sweep(os.path.join(root, entry)) for entry in _entries(root))


def of_principal(run: str, principal: Principal) -> tuple[Session, ...]:
    return tuple(session for session in live(run) if session.principal == principal)


def sweep(path: str) -> bool:
    """Remove the session directory `path` if nobody holds its lock; whether it is gone."""
    try:
        fd = os.open(os.path.join(path, LOCK), os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return not os.path.isdir(path)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for name in (RECORD, _UNFINISHED, SOCKET, LOCK):  # the lock last: with it, the directory is recognisably ours
            _unlink(os.path.join(path, name))
        os.rmdir(path)
        return True
    except BlockingIOError:
        return False
    except OSError:  # another caller sweeps it at this moment
        return True
    finally:
        os.close(fd)


def has_ended(run: str, session: Session) -> bool:
    """Whether it lives no more. While it does, its pid is certainly its own."""
    return sweep(os.path.join(directory(run), session.id))


def _sweep_draft(path: str) -> None:
    try:
        _unlink(os.path.join(path, LOCK))
        os.rmdir(path)
    except OSError:  # it is a session by now, or another caller sweeps it
        return


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return


def prepare(run: str) -> tuple[SessionId, str, int]:
    """A new session's id, its directory and its lock, held by the returned descriptor. Raises Misconfigured."""
    root = directory(run)
    try:
        os.makedirs(root, 0o700, exist_ok=True)
    except OSError as error:
        raise Misconfigured("the gateway cannot write its run directory", error.strerror) from error
    id_ = SessionId(f"s-{os.urandom(6).hex()}")
    draft, path = os.path.join(root, drafts.PREFIX + id_), os.path.join(root, id_)
    os.mkdir(draft, 0o700)
    fd = os.open(os.path.join(draft, LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(fd, fcntl.LOCK_EX)
    os.rename(draft, path)
    return id_, path, fd


def publish(path: str, session: Session) -> None:
    """Write the record of `session` into its directory `path`, at once as a whole."""
    draft = os.path.join(path, _UNFINISHED)
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        file.write(session.dump())
    os.rename(draft, os.path.join(path, RECORD))


def retire(path: str) -> None:
    """Remove what a session showed the world; its empty directory goes with the next sweep."""
    _unlink(os.path.join(path, SOCKET))
    _unlink(os.path.join(path, RECORD))


def with_project(mine: Iterable[Session], project: ProjectName) -> Session:
    """The session that has `project` unlocked; raises NotUnlocked."""
    for session in mine:
        if session.has(project):
            return session
    raise NotUnlocked(f"{project} is not unlocked", f"`mount {project}` unlocks it")


def of_connection(mine: Iterable[Session], connection: str) -> Session | None:
    """The session anchored on this very connection, if there is one."""
    return next((session for session in mine if session.connection == connection), None)


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
