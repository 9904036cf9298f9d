"""For scp, rsync and git: the projects that paths name, and the session that has them unlocked.

The paths are checked for a clear message, not for safety: the program sees nothing but the views.
"""

from __future__ import annotations

from gateway.base.records import Record
from gateway.errors import Busy, Usage
from gateway.identity.names import ProjectName
from gateway.sandbox.paths import PROJECTS
from gateway.session import registry
from gateway.session.registry import Session
from rshell.context import Context
from rshell.language.grammar import Pattern


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


def session_of(context: Context, paths: tuple[str, ...]) -> Session:
    """The session that has the projects of all paths unlocked; if they name no project, the channel's session.

    Raises NoSuchProject or NotUnlocked for the project of a path, Busy if the projects are in several sessions.
    """
    live = context.sessions()
    named = [project for project in map(project_of, paths) if project]
    if not named:
        return registry.find(live, context.caller.connection)
    for project in named:
        context.vault(project)
    chosen = {project: registry.with_project(live, project) for project in named}
    if len({session.id for session in chosen.values()}) > 1:
        raise Busy("those projects are unlocked in different sessions", "copy them one by one")
    return chosen[named[0]]


def require_projects(paths: tuple[str, ...]) -> None:
    """Raise Usage for what is to be written beside the projects."""
    for path in paths:
        if project_of(path) is None:
            raise Usage("the destination names no project", "write gateway:PROJECT/ or a path below it")


def project_of(path: str) -> ProjectName | None:
    """The project that a path of a transfer names, if it names one."""
    path = f"{canonical(path)}/".removeprefix(f"{PROJECTS}/")
    first = next((part for part in path.split("/") if part not in ("", ".")), "")
    return ProjectName(first) if ProjectName.accepts(first) else None
