"""`enc new`."""

from __future__ import annotations

import click

from client import options
from client.connection import remote_command, ssh
from client.operations import projects
from client.state.config import Profile
from client.system import passphrase_prompt


@click.command("new")
@click.argument("project")
@click.option("--allow-weak", is_flag=True, help="Take a passphrase that the gateway finds too short.")
@click.option("--from", "source", type=click.Path(exists=True, file_okay=False), help="Fill it with this directory.")
@options.gateway
def command(profile: Profile, project: str, allow_weak: bool, source: str | None, as_json: bool) -> None:
    """Create PROJECT, encrypted with a passphrase that nobody can recover for you.

    With --from, the content of a directory is copied into it, and compared with what arrived before anything is said to
    be done. The directory itself stays as it is.
    """
    projects.checked_name(project)
    if source:
        from client.operations import upload

        upload.need_rsync()
    passphrase = passphrase_prompt.obtain(f"New passphrase of {project}: ", twice=True)
    words = ["new", project, *(["--allow-weak"] if allow_weak else [])]
    store = remote_command.connected(profile)
    if store:
        ssh.ask(store, *words, secret=passphrase)
    else:
        ssh.ask_directly(profile, *words, secret=passphrase)
    if not source:
        options.say({"project": project, "created": True}, f"created {project}", as_json)
        return
    count = upload.fill(profile, project, source, passphrase)
    words_ = f"created {project}; {count} files and directories copied and compared"
    options.say({"project": project, "created": True, "copied": count}, words_, as_json)
