"""Serve SSH inside a project: for editors, which start programs of their own where the files are."""

from __future__ import annotations

from gateway.errors import Usage
from gateway.identity import authorized_keys
from rshell.commands import unmount
from rshell.context import Context, required
from rshell.language.command import Command
from rshell.session import execution
from rshell.terminal import output

_TYPE = "ssh-ed25519"

check = unmount.check
"""As `unmount`, this needs an unlocked project."""


def run(context: Context, command: Command) -> int:
    """Without KEY, print the host key of the caller's workspace. Else serve SSH on our standard input and output, to
    whoever has KEY; return the exit status of that.
    """
    project, home = context.vault(required(command.project)).name, "--home" in command.flags
    if command.value:
        return execution.enter(context, project, _key(command.value), home)
    key = execution.host_key(context, project, home)
    output.result({"project": project, "host_key": key}, key, command.wants_json)
    return 0


def _key(blob: str) -> str:
    """A line of authorized_keys. Raises Usage."""
    if not authorized_keys.is_key(_TYPE, blob):
        raise Usage("KEY is the second word of an Ed25519 public key", "`ssh-keygen -t ed25519` makes one")
    return f"{_TYPE} {blob}"
