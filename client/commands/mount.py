"""`enc mount`."""

from __future__ import annotations

import click

from client import options
from client.completion import PROJECT
from client.connection import session
from client.operations import projects
from client.state.config import Profile


@click.command("mount")
@PROJECT
@click.argument("directory", required=False, type=click.Path())
@click.option("--detach", is_flag=True, help="Stay when this terminal ends, until `enc unmount` or `enc logout --all`.")
@click.option("--sync", is_flag=True, help="Each write waits for the gateway, so that an error is that write's.")
@options.gateway
def command(profile: Profile, project: str, directory: str | None, detach: bool, sync: bool, as_json: bool) -> None:
    """Unlock PROJECT and mount it at DIRECTORY (~/enc/PROJECT), logging in when needed.

    It belongs to this terminal: when its shell ends, or a script that called this, it is unmounted and locked. It is
    looked after every 3 s; a mount that does not answer, or is tampered with, is taken away.
    """
    terminal = session.nobody() if detach else session.this_terminal()
    mount = projects.mount(profile, profile.store(), terminal, project, directory or "", sync)
    fields = {"project": project, "directory": mount.directory, "detached": detach}
    options.say(fields, f"{project} is at {options.bold(mount.directory)}, {session.describe(terminal)}", as_json)
