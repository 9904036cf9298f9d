"""Run a program of the user's choice in a project."""

from __future__ import annotations

from rshell.commands import unmount
from rshell.context import Context, required
from rshell.language.command import Command
from rshell.session import execution, starting

check = unmount.check
"""As `unmount`, this needs an unlocked project."""


def run(context: Context, command: Command) -> int:
    """Run the program in the project's directory, on our terminal or standard descriptors; return its exit status."""
    project = context.vault(required(command.project)).name
    wanted = execution.Wanted(
        project=project,
        label="run",
        arguments=(*starting.words(project, command.directory), *command.arguments),
        directory=execution.directory(project),
        network="--net" in command.flags,
        seconds=command.seconds,
    )
    return execution.run(context, wanted)
