"""`enc passwd`."""

from __future__ import annotations

import click

from client import options, output
from client.completion import PROJECT
from client.operations import projects, unlocking
from client.state.config import Profile
from client.system import passphrase_prompt


@click.command("passwd")
@PROJECT
@click.option("--allow-weak", is_flag=True, help="Accept a passphrase that the gateway considers too short.")
@options.gateway
def command(profile: Profile, project: str, allow_weak: bool, as_json: bool) -> None:
    """Change the passphrase of PROJECT, which may be mounted. The old one opens nothing afterwards.

    It asks for the old passphrase, unless a key of yours unlocks the project, and for the new one. Copies from before,
    as in backups, still open with the old one.
    """
    projects.check_name(project)
    words = ["passwd", project, *(["--allow-weak"] if allow_weak else [])]
    opened = unlocking.ask(
        profile, project, *words, after=lambda: passphrase_prompt.read_new(f"New passphrase of {project}: ")
    )
    if opened.note:
        output.note(opened.note)
    fields = {"project": project, "changed": True, "unlocked_by": opened.by}
    output.result(fields, f"the passphrase of {project} is changed", as_json)
