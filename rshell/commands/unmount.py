"""Lock a project."""

from __future__ import annotations

from gateway.session import protocol, registry
from gateway.session.registry import Session
from rshell.context import Context, required
from rshell.language.command import Command
from rshell.session import warden_client
from rshell.terminal import output


def run(context: Context, command: Command) -> int:
    """Lock the project. Returns when its view is gone."""
    session = check(context, command)
    project = required(command.project)
    request = protocol.Lock(principal=context.caller.principal, origin=context.origin, project=project)
    warden_client.ask(context, session, request)
    output.result({"project": project, "state": "locked"}, f"locked {project}", command.wants_json)
    return 0


def check(context: Context, command: Command) -> Session:
    """The session that has the project. Raises NoSuchProject, NotUnlocked."""
    return registry.with_project(context.sessions(), context.vault(command.project).name)
