"""Locking a project."""

from __future__ import annotations

from gateway import protocol, sessions
from rshell import link, terminal
from rshell.command import Command
from rshell.context import Context, required


def run(context: Context, command: Command) -> int:
    """Lock, and return when it is certain that the view is gone."""
    session = foresee(context, command)
    project = required(command.project)
    request = protocol.Lock(principal=context.caller.principal, origin=context.origin, project=project)
    link.ask(context, session, request)
    terminal.result({"project": project, "state": "locked"}, f"locked {project}", command.wants_json)
    return 0


def foresee(context: Context, command: Command) -> sessions.Session:
    """The session that has the project. Raises NoSuchProject, NotUnlocked."""
    return sessions.with_project(context.live(), context.vault(command.project).name)
