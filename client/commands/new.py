"""`enc new`."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import Any, NamedTuple

import click

from client import options, output
from client.errors import CannotCreate, EncError, FromGateway, Usage
from client.operations import projects, unlocking
from client.state import runtime_dir
from client.state import store as stores
from client.state.config import Profile
from client.system import passphrase_prompt

_TAKEN = "cannot-create"


@click.command("new")
@click.argument("project")
@click.option("--key", "by_key", is_flag=True, help="Unlock it by your SSH key, and by no passphrase.")
@click.option("--recovery", is_flag=True, help="Also make a recovery code, which is shown once.")
@click.option("--no-recovery", is_flag=True, help="With --key: no recovery code. A lost key is a lost project then.")
@click.option("--allow-weak", is_flag=True, help="Accept a passphrase that the gateway considers too short.")
@click.option(
    "--from", "source", type=click.Path(exists=True, file_okay=False), help="Copy this directory into the project."
)
@options.gateway
def command(
    profile: Profile,
    project: str,
    by_key: bool,
    recovery: bool,
    no_recovery: bool,
    allow_weak: bool,
    source: str | None,
    as_json: bool,
) -> None:
    """Create PROJECT, encrypted with a passphrase, or with --key by your SSH key.

    Nobody can recover a passphrase or a key for you. With --recovery, a recovery code is shown once.

    With --from, enc copies the content of a directory into the project and then compares both completely. The directory
    is not changed. It names what it cannot copy, such as sockets. The same words continue a copy that was interrupted.
    """
    projects.check_new_name(project)
    if by_key and not (recovery or no_recovery):
        raise Usage("without a recovery code, a lost key is a lost project", "add --recovery, or --no-recovery")
    given = {"--key": by_key, "--recovery": recovery, "--no-recovery": no_recovery, "--allow-weak": allow_weak}
    flags = [flag for flag, is_given in given.items() if is_given]
    if source:
        _copy(profile, project, source, flags, as_json)
        return
    from client.operations import unfinished

    answer = _create(profile, project, flags).answer
    unfinished.end(profile, project)  # an older project of this name was removed elsewhere
    fields = {"project": project, "created": True, "kinds": answer.get("kinds", []), **_code(answer)}
    output.result(fields, f"created {project}; next: `enc mount {project}`{output.recovery_code(answer)}", as_json)


class _Created(NamedTuple):
    """The gateway's answer, and what unlocks the project: its passphrase, or a signature."""

    answer: dict[str, Any]
    secret: bytes


def _create(profile: Profile, project: str, flags: list[str], begin: Callable[[], None] = lambda: None) -> _Created:
    """Create the project. Its passphrase is asked for, or its key signs, once the gateway says that the project can be
    created; `begin` comes between that and the moment from which on the project may exist.
    """
    given = []

    def ask(said: str) -> bytes:
        if "--key" in flags:
            key = unlocking.new_key(profile, project)
            given.append(key.signature.removesuffix(b"\n"))
            begin()
            return key.lines.removesuffix(b"\n")
        if passphrase_prompt.is_typed():
            output.note(said)
        given.append(passphrase_prompt.read_new(f"New passphrase of {project}: ", unlocking.minimum(said)))
        begin()
        return given[0]

    words = ["new", project, *flags]
    return _Created(unlocking.send_when_asked(profile, *words, ask=ask), given[0])


def _copy(profile: Profile, project: str, source: str, flags: list[str], as_json: bool) -> None:
    from client.operations import copying, rsync, unfinished
    from client.operations import survey as surveys

    rsync.check_installed()
    runtime_dir.path()
    projects.check_not_mounted(stores.of(profile), project)
    survey = surveys.examine(source)
    begun = unfinished.is_begun(profile, project, source)  # by an earlier call, and not by this one
    ours: list[str] = []

    def begin() -> None:
        unfinished.begin(profile, project, source)
        ours.append(project)

    answer: dict[str, Any] = {}
    secret = None
    try:
        answer, secret = _create(profile, project, flags, begin)
    except (FromGateway, Usage) as error:
        if ours and not begun:
            unfinished.end(profile, project)
        if error.slug != _TAKEN or not begun:
            raise
        output.note(f"{project} exists, with a part of {source}; the copy continues")
    if "code" in answer and not as_json:  # before what may fail
        output.note(output.recovery_code(answer).strip())
    hint = f"`enc new {project} --from {shlex.quote(source)}` continues, `enc rm {project}` removes it"
    try:
        filled = copying.fill(profile, project, source, survey, secret, resumed=begun)
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt(f"interrupted: {project} exists, with a part of {source}; {hint}") from stop
    except rsync.CopyFailed as error:
        raise rsync.CopyFailed(str(error), f"{project} exists; {hint}") from error
    except EncError as error:
        raise CannotCreate(f"{project} exists, but nothing was copied: {error}", hint) from error
    unfinished.end(profile, project)
    for note in filled.notes:
        output.note(note)
    fields = {"project": project, "created": True, "copied": filled.total, "skipped": len(survey.skipped)}
    fields |= _code(answer)
    text = f"created {project}; {filled.total} files and directories copied and compared; next: `enc mount {project}`"
    output.result({**fields, "notes": list(filled.notes)}, text, as_json)


def _code(answer: dict[str, Any]) -> dict[str, Any]:
    return {"code": answer["code"]} if "code" in answer else {}
