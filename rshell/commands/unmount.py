"""Lock a project, or end one's own hold of it while others hold it."""

from __future__ import annotations

from gateway.identity.names import in_vault
from gateway.session import protocol, registry
from gateway.session.registry import Session
from rshell.context import Context, required
from rshell.language.command import Command
from rshell.session import warden_client
from rshell.terminal import output


def run(context: Context, command: Command) -> int:
    """Lock the project. Returns when its view is gone, or, without --all, the caller's hold is and others go on."""
    session = check(context, command)
    project = required(command.project)
    for_all = "--all" in command.flags and session.protocol >= registry.HAS_HOLDERS
    kind = protocol.LockForAll if for_all else protocol.Lock
    request = kind(principal=context.caller.principal, origin=context.origin, project=in_vault(project))
    if others := warden_client.end(context, session, request):
        words = f"left {project}; it stays unlocked for {warden_client.names(others)}"
        output.result({"project": project, "state": "unlocked", "for": others}, words, command.wants_json)
        return 0
    output.result({"project": project, "state": "locked"}, f"locked {project}", command.wants_json)
    return 0


def check(context: Context, command: Command) -> Session:
    """The session that has the project. Raises as `Context.require_session`."""
    return context.require_session(required(command.project))
