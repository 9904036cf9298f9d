"""`enc idle`."""

from __future__ import annotations

import click

from client import options
from client.completion import OWN_PROJECT
from client.connection import remote_command
from client.state.config import Profile


@click.command("idle")
@OWN_PROJECT
@click.argument("seconds", required=False)
@options.gateway
def command(profile: Profile, project: str, seconds: str | None, as_json: bool) -> int:
    """Show after how many SECONDS without use PROJECT is locked, or set it. It applies at once.

    You cannot go above the gateway's limit.
    """
    words = ["idle", project, *([seconds] if seconds is not None else []), *(["--json"] if as_json else [])]
    return remote_command.run(profile, words, project=project)
