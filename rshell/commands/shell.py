"""Open a shell in a project."""

from __future__ import annotations

from gateway.sandbox import paths
from rshell.commands import unmount
from rshell.context import Context, required
from rshell.language.command import Command
from rshell.session import execution, starting

_PROMPT = "PS1=\\w\\$ "
"""The working directory, which begins with the project: /projects/parser$."""

check = unmount.check
"""As `unmount`, this needs an unlocked project."""


def run(context: Context, command: Command) -> int:
    """Run a login shell in the project's directory. Without a terminal, it reads commands from standard input."""
    project = context.vault(required(command.project)).name
    wanted = execution.Wanted(
        project=project,
        label="shell",
        arguments=(*starting.words(project, command.directory), "/usr/bin/env", _PROMPT, paths.SHELL, "-l"),
        directory=execution.directory(project),
        network="--net" in command.flags,
        seconds=command.seconds,
    )
    return execution.run(context, wanted)
