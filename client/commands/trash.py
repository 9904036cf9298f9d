"""`enc trash`."""

from __future__ import annotations

from typing import Any

import click

from client import options, output
from client.completion import TRASHED
from client.connection import remote_command, request
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
    if not (action or as_json) and output.is_for_person():
        _show(request.ask(profile, "trash")["trash"])
        return 0
    words = ["trash", *([action, project] if action and project else [])]
    flags = [*(["--yes"] if yes else []), *(["--json"] if as_json else [])]
    return remote_command.run(profile, [*words, *flags], tty=action == "empty" and not yes and not as_json)


def _show(removed: list[dict[str, Any]]) -> None:
    rows = [("PROJECT", "REMOVED"), *((str(one["project"]), output.when(str(one["removed"]))) for one in removed)]
    output.result({}, output.columns(rows) if removed else "the trash is empty", False)
