"""`enc ls`."""

from __future__ import annotations

from typing import Any

import click

from client import options, output
from client.connection import remote_command, request
from client.state.config import Profile


@click.command("ls")
@options.gateway
def command(profile: Profile, as_json: bool) -> int:
    """List your projects: locked or unlocked, size on disk, last used."""
    if as_json or not output.is_for_person():
        return remote_command.run(profile, ["ls", *(["--json"] if as_json else [])])
    projects = request.ask(profile, "ls")["projects"]
    rows = [("PROJECT", "STATE", "SIZE", "LAST USED"), *map(_row, projects)]
    output.result({}, output.columns(rows) if projects else "no projects yet; `enc new NAME` creates one", False)
    return 0


def _row(project: dict[str, Any]) -> tuple[str, str, str, str]:
    size = output.size(int(project["size"])) + ("" if project["size_complete"] else " or more")
    return str(project["name"]), str(project["state"]), size, output.when(str(project["last_used"]))
