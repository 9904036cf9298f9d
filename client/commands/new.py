"""`enc new`."""

from __future__ import annotations

from typing import Any

import click

from client import options, output
from client.errors import Usage
from client.operations import projects, unlocking
from client.state.config import Profile
from client.system import passphrase_prompt


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
    is not changed. What cannot be kept, such as sockets, is told.
    """
    projects.check_name(project)
    survey = None
    if source:
        from client.operations import survey as surveys
        from client.operations import upload

        upload.check_installed()
        survey = surveys.examine(source)
    if by_key and not (recovery or no_recovery):
        raise Usage("without a recovery code, a lost key is a lost project", "add --recovery, or --no-recovery")
    given = {"--key": by_key, "--recovery": recovery, "--no-recovery": no_recovery, "--allow-weak": allow_weak}
    words = ["new", project, *(flag for flag, is_given in given.items() if is_given)]
    if by_key:
        secret, unlocks = unlocking.new_key(profile, project)
    else:
        secret = unlocks = passphrase_prompt.read_new(f"New passphrase of {project}: ")
    answer = unlocking.send(profile, *words, secret=secret.removesuffix(b"\n"))
    code = output.recovery_code(answer)
    if not source or not survey:
        fields = {"project": project, "created": True, "kinds": answer.get("kinds", []), **_code(answer)}
        output.result(fields, f"created {project}{code}", as_json)
        return
    if code and not as_json:  # before what may fail
        output.note(code.strip())
    filled = upload.fill(profile, project, source, survey, unlocks.removesuffix(b"\n"))
    for note in filled.notes:
        output.note(note)
    fields = {"project": project, "created": True, "copied": filled.count, "skipped": len(survey.skipped)}
    fields |= _code(answer)
    text = f"created {project}; {filled.count} files and directories copied and compared"
    output.result({**fields, "notes": list(filled.notes)}, text, as_json)


def _code(answer: dict[str, Any]) -> dict[str, Any]:
    return {"code": answer["code"]} if "code" in answer else {}
