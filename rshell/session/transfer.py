"""For scp, rsync and git: the projects that paths name, and the session that has them unlocked.

The paths are checked for a clear message, not for safety: the program sees nothing but the views.
"""

from __future__ import annotations

from gateway.errors import Busy
from gateway.identity.names import ProjectName
from gateway.sandbox.paths import PROJECTS
from gateway.session import registry
from gateway.session.registry import Session
from rshell.context import Context


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


def project_of(path: str) -> ProjectName | None:
    """The project that a path of a transfer names, if it names one."""
    for prefix in (f"{PROJECTS}/", "~/", "./"):
        path = path.removeprefix(prefix)
    first = path.partition("/")[0]
    return ProjectName(first) if ProjectName.accepts(first) else None
