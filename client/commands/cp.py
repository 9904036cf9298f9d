"""`enc cp`."""

from __future__ import annotations

import click

from client import options, output
from client.completion import PLACES
from client.operations import copying_there
from client.state.config import Profile


@click.command("cp")
@click.option("-r", "recursive", is_flag=True, help="Copy directories, with all that is in them.")
@PLACES
@options.gateway
def command(profile: Profile, recursive: bool, places: tuple[str, ...], as_json: bool) -> None:
    """Copy FROM to TO inside one PROJECT, as cp does, on the gateway: no file goes over the line.

    If TO is a directory, the copy goes into it. Modes and times are kept. A file that is there is replaced. The
    project's top is PROJECT: with nothing after the colon.

    PROJECT is unlocked for the length of the copy, if it is not unlocked here. From and to this machine, enc push and
    enc pull copy.
    """
    project, paths = copying_there.paths_of(places)
    copying_there.copy(profile, project, paths, recursive)
    *sources, target = paths
    fields = {"project": project, "copied": sources, "to": target}
    output.result(fields, f"copied {', '.join(sources)} to {target} in {project}", as_json)
