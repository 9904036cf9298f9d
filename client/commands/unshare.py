"""`enc unshare`."""

from __future__ import annotations

import click

from client import options
from client.completion import MEMBER, OWN_PROJECT
from client.connection import remote_command
from client.operations import projects
from client.state.config import Profile


@click.command("unshare")
@OWN_PROJECT
@MEMBER
@options.gateway
def command(profile: Profile, project: str, who: str, as_json: bool) -> int:
    """End the access of WHO to PROJECT, at once, or take an invitation back.

    What they copied meanwhile they keep.
    """
    projects.check_name(project)
    return remote_command.run(profile, ["unshare", project, who, *(["--json"] if as_json else [])], project=project)
