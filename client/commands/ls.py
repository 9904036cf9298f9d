"""`enc ls`."""

from __future__ import annotations

from typing import Any

import click

from client import options, output
from client.connection import remote_command, request
from client.state import hosts
from client.state.config import Profile


@click.command("ls")
@options.gateway
def command(profile: Profile, as_json: bool) -> int:
    """List your projects, and those that others share with you: locked or unlocked, size on disk, last used, role."""
    profile = hosts.connected(profile)
    if as_json or not output.is_for_person():
        return remote_command.run(profile, ["ls", *(["--json"] if as_json else [])])
    projects = request.ask(profile, "ls")["projects"]
    is_alone = all(project.get("role", _OWNER) == _OWNER for project in projects)
    rows = [_HEADER, *map(_row, projects)]
    table = output.columns([row[:-1] if is_alone else row for row in rows])
    accept = [
        f"`enc accept {project['name']}` joins it, with the code that you were given"
        for project in projects
        if project["state"] == "invited"
    ]
    words = "\n".join((table, *accept))
    output.result({}, words if projects else "no projects yet; `enc new NAME` creates one", False)
    return 0


_HEADER = ("PROJECT", "STATE", "SIZE", "LAST USED", "ROLE")
_OWNER = "owner"


def _row(project: dict[str, Any]) -> tuple[str, ...]:
    """What is shared has no size: it is its owner's."""
    size = "-"
    if project["size"] is not None:
        size = output.size(int(project["size"])) + ("" if project["size_complete"] else " or more")
    state = str(project["state"])
    if project.get("invited_until"):
        state += f" until {output.when(str(project['invited_until']))}"
    if project.get("host"):
        state += f" on {project['host']}"
    used = output.when(str(project["last_used"]))
    return str(project["name"]), state, size, used, str(project.get("role", _OWNER))
