"""Count as use of an unlocked project: for a client that sees that its user is at work."""

from __future__ import annotations

from gateway.identity.names import in_vault
from gateway.session import protocol
from rshell.commands import unmount
from rshell.context import Context, required
from rshell.language.command import Command
from rshell.session import warden_client
from rshell.terminal import output

check = unmount.check
"""As `unmount`, this needs an unlocked project."""


def run(context: Context, command: Command) -> int:
    """Postpone the lock of the project by its idle limit."""
    session = check(context, command)
    project = required(command.project)
    request = protocol.Touch(principal=context.caller.principal, origin=context.origin, project=in_vault(project))
    warden_client.ask(context, session, request)
    output.result({"project": project, "touched": True}, f"{project} counts as used", command.wants_json)
    return 0
