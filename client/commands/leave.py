"""`enc leave`."""

from __future__ import annotations

import click

from client import options, output
from client.completion import SHARED
from client.errors import Missing, Usage
from client.operations import projects, unlocking
from client.state import store as stores
from client.state.config import Profile
from client.system import names


@click.command("leave")
@SHARED
@click.option("--force", is_flag=True, help="Leave even if programs use its mount: they lose what they have not saved.")
@options.gateway
def command(profile: Profile, project: str, force: bool, as_json: bool) -> None:
    """Give up PROJECT (OWNER/PROJECT), which somebody shares with you, or turn down an invitation to it.

    What is mounted here is unmounted first. Only the owner can invite you again.
    """
    if not names.is_shared(project):
        raise Usage(f"{project!r} is no project of somebody else's", "enc leave OWNER/PROJECT; `enc rm` removes yours")
    try:
        store = stores.of(profile)
    except Missing:  # then nothing is mounted
        store = None
    if store and project in store.read().mounts:
        projects.unmount_project(store, project, force)
    answer = unlocking.send(profile, "leave", project)
    output.result(answer, f"you have left {project}; {names.owner(project)} can invite you again", as_json)
