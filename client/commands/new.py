"""`enc new`."""

from __future__ import annotations

import click

from client import options, output
from client.connection import request
from client.operations import projects
from client.state import store as stores
from client.state.config import Profile
from client.system import passphrase_prompt


@click.command("new")
@click.argument("project")
@click.option("--allow-weak", is_flag=True, help="Accept a passphrase that the gateway considers too short.")
@click.option(
    "--from", "source", type=click.Path(exists=True, file_okay=False), help="Copy this directory into the project."
)
@options.gateway
def command(profile: Profile, project: str, allow_weak: bool, source: str | None, as_json: bool) -> None:
    """Create PROJECT, encrypted with a passphrase. Nobody can recover the passphrase for you.

    With --from, enc copies the content of a directory into the project and then compares both completely. The directory
    is not changed. What cannot be kept, such as sockets, is told.
    """
    projects.check_name(project)
    survey = None
    if source:
        from client.operations import survey as surveys
        from client.operations import upload

        upload.check_installed()
        survey = surveys.examine(source)
    passphrase = passphrase_prompt.read_new(f"New passphrase of {project}: ")
    words = ["new", project, *(["--allow-weak"] if allow_weak else [])]
    store = stores.connected(profile)
    if store:
        request.send(store, *words, secret=passphrase)
    else:
        request.send_directly(profile, *words, secret=passphrase)
    if not source or not survey:
        output.result({"project": project, "created": True}, f"created {project}", as_json)
        return
    filled = upload.fill(profile, project, source, survey, passphrase)
    for note in filled.notes:
        output.note(note)
    fields = {"project": project, "created": True, "copied": filled.count, "skipped": len(survey.skipped)}
    text = f"created {project}; {filled.count} files and directories copied and compared"
    output.result({**fields, "notes": list(filled.notes)}, text, as_json)
