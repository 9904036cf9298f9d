"""For scp, rsync and git: the projects that paths name, and the session that has them unlocked.

The paths are checked for a clear message, not for safety: the program sees nothing but the views.
"""

from __future__ import annotations

from gateway.base.records import Record
from gateway.errors import Busy, Denied, Usage
from gateway.identity.names import Named, ProjectName, SharedName
from gateway.sandbox.paths import PROJECTS
from gateway.session import registry
from gateway.session.registry import Session
from rshell.context import Context
from rshell.language.grammar import Pattern

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.identity.names import Principal


class Paths(Record):
    """Paths as a program gets them, and for each the pattern that it is, "" for none."""

    words: tuple[str, ...]
    patterns: tuple[str, ...]


def paths_of(words: tuple[str, ...]) -> Paths:
    """The paths that the words of a line name."""
    patterns = tuple(canonical(word.pattern) if isinstance(word, Pattern) else "" for word in words)
    return Paths(words=tuple(map(canonical, words)), patterns=patterns)


def canonical(path: str) -> str:
    """The path as a program of a session understands it, which starts among the projects.

    A ~ at the start, quoted or not, and a / are where the projects are: `~/p/f` and `/p/f` are `p/f`.
    """
    if path == "~" or path.startswith("~/"):
        return path[1:].lstrip("/") or "."
    if path == PROJECTS or path.startswith(f"{PROJECTS}/"):
        return path
    return f"{PROJECTS}/{path.lstrip('/')}" if path.startswith("/") else path


def session_of(context: Context, paths: tuple[str, ...], writes: bool = False) -> Session:
    """The session that has the projects of all paths unlocked; if they name no project, the channel's session.

    Raises NoSuchProject, NotUnlocked or Elsewhere for the project of a path, Busy if the projects are in several
    sessions, and Denied for what `writes` into a project that the caller can only read.
    """
    sharers = context.sharers()
    named = [project for project in (project_of(path, sharers) for path in paths) if project]
    if not named:
        return context.session_of_channel()
    chosen = {project: context.require_session(project) for project in dict.fromkeys(named)}
    if len({session.id for session in chosen.values()}) > 1:
        raise Busy("those projects are unlocked in different sessions", "copy them one by one")
    session = chosen[named[0]]
    if writes:
        require_writer(context, session, named[0])
    return session


def require_writer(context: Context, session: Session, project: Named) -> None:
    """Raise Denied for a reader, whose programs cannot write: before a client sends what nobody takes."""
    if session.role_of(context.caller.principal) == registry.READER:
        raise Denied(f"you can read {project}, and not change it", f"ask {context.owner_of(project)} to let you write")


def require_projects(context: Context, paths: tuple[str, ...]) -> None:
    """Raise Usage for what is to be written beside the projects."""
    sharers = context.sharers()
    for path in paths:
        if project_of(path, sharers) is None:
            raise Usage("the destination names no project", "write gateway:PROJECT/ or a path below it")


def project_of(path: str, sharers: Mapping[str, Principal]) -> Named | None:
    """The project that a path of a transfer names, if it names one. `sharers` are those who share projects with the
    caller, by the word that a path of theirs begins with.
    """
    path = f"{canonical(path)}/".removeprefix(f"{PROJECTS}/")
    parts = [part for part in path.split("/") if part not in ("", ".")]
    owner = sharers.get(parts[0]) if parts else None
    if owner and len(parts) > 1 and ProjectName.accepts(parts[1]):
        return SharedName.made_of(owner, ProjectName(parts[1]))
    return ProjectName(parts[0]) if parts and not owner and ProjectName.accepts(parts[0]) else None
