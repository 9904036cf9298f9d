"""`enc trash`."""

from __future__ import annotations

import click

from client import options
from client.completion import TRASHED
from client.connection import remote_command
from client.errors import Usage
from client.state.config import Profile


@click.command("trash")
@click.argument("action", required=False, type=click.Choice(["restore", "empty"]))
@TRASHED
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@options.gateway
def command(profile: Profile, action: str | None, project: str | None, yes: bool, as_json: bool) -> int:
    """List the projects that you removed; `restore` brings PROJECT back, `empty` deletes it for good."""
    if bool(action) != bool(project):
        raise Usage("name a project", "enc trash restore PROJECT, or enc trash empty PROJECT")
    words = ["trash", *([action, project] if action and project else [])]
    flags = [*(["--yes"] if yes else []), *(["--json"] if as_json else [])]
    return remote_command.run(profile, [*words, *flags], tty=action == "empty" and not yes and not as_json)
