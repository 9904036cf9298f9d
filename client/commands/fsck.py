"""`enc fsck`."""

from __future__ import annotations

import click

from client import options
from client.completion import OWN_PROJECT
from client.connection import remote_command
from client.state.config import Profile


@click.command("fsck")
@OWN_PROJECT
@options.gateway
def command(profile: Profile, project: str, as_json: bool) -> int:
    """Check every file of PROJECT, which must be locked, and name what is damaged.

    What has lost a long name gets a new one. Exit status: 65 if a file is damaged, 74 if one could not be read.
    """
    words = ["fsck", project, *(["--json"] if as_json else [])]
    return remote_command.run(profile, words, tty=not as_json, project=project)
