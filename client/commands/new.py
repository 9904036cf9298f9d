"""`enc new`."""

from __future__ import annotations

import shlex
from collections.abc import Callable

import click

from client import options, output
from client.connection import request
from client.errors import CannotCreate, EncError, FromGateway
from client.operations import projects
from client.state import runtime_dir
from client.state import store as stores
from client.state.config import Profile
from client.system import passphrase_prompt

_TAKEN = "cannot-create"


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
    is not changed. What cannot be kept, such as sockets, is told. The same words continue a copy that was interrupted.
    """
    projects.check_name(project)
    if source:
        _copy(profile, project, source, allow_weak, as_json)
        return
    from client.operations import unfinished

    _create(profile, project, allow_weak)
    unfinished.end(profile, project)  # an older project of this name was removed elsewhere
    output.result({"project": project, "created": True}, f"created {project}", as_json)


def _create(profile: Profile, project: str, allow_weak: bool, begin: Callable[[], None] = lambda: None) -> bytes:
    """Create the project; its passphrase. It is asked for once the gateway says that the name is free; `begin` comes
    between that and the moment from which on the project may exist.
    """
    words = ["new", project, *(["--allow-weak"] if allow_weak else [])]
    given = []

    def ask(said: str) -> bytes:
        if passphrase_prompt.is_typed():
            output.note(said)
        given.append(passphrase_prompt.read_new(f"New passphrase of {project}: "))
        begin()
        return given[0]

    store = stores.connected(profile)
    if store:
        request.send_when_asked(store, *words, ask=ask)
    else:
        request.send_directly_when_asked(profile, *words, ask=ask)
    return given[0]


def _copy(profile: Profile, project: str, source: str, allow_weak: bool, as_json: bool) -> None:
    from client.operations import survey as surveys
    from client.operations import unfinished, upload

    upload.check_installed()
    runtime_dir.path()
    survey = surveys.examine(source)
    begun = unfinished.is_begun(profile, project, source)  # by an earlier call, and not by this one
    ours: list[str] = []

    def begin() -> None:
        unfinished.begin(profile, project, source)
        ours.append(project)

    try:
        passphrase = _create(profile, project, allow_weak, begin)
    except FromGateway as error:
        if ours and not begun:
            unfinished.end(profile, project)
        if error.slug != _TAKEN or not begun:
            raise
        output.note(f"{project} exists, with a part of {source}; the copy continues")
        passphrase = passphrase_prompt.read(f"Passphrase of {project}: ")
    hint = f"`enc new {project} --from {shlex.quote(source)}` continues, `enc rm {project}` removes it"
    try:
        filled = upload.fill(profile, project, source, survey, passphrase, resumed=begun)
    except KeyboardInterrupt:
        output.note(f"\nenc: {project} exists, with a part of {source}; {hint}")
        raise
    except upload.CopyFailed as error:
        raise upload.CopyFailed(str(error), f"{project} exists; {hint}") from error
    except EncError as error:
        raise CannotCreate(f"{project} exists, but nothing was copied: {error}", hint) from error
    unfinished.end(profile, project)
    for note in filled.notes:
        output.note(note)
    fields = {"project": project, "created": True, "copied": filled.count, "skipped": len(survey.skipped)}
    text = f"created {project}; {filled.count} files and directories copied and compared"
    output.result({**fields, "notes": list(filled.notes)}, text, as_json)
