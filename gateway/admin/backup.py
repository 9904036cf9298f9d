"""`enc-gateway backup` and `restore`: ciphertext out, and one project back beside the live one."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import click

from gateway.admin import options, output, vaults
from gateway.audit import administration
from gateway.base import privileges
from gateway.config.schema import Config
from gateway.errors import Busy, CannotCreate, DamagedVault, EncError, NoSuchProject, Usage
from gateway.identity.names import Principal, ProjectName
from gateway.vault import ciphertext, copying, store
from gateway.vault.copying import CopyResult
from gateway.vault.store import Vault

_DRAFT = ".restoring-"
"""Not that of vaults that are being made, which is swept after an hour: a large project takes longer."""

_MARK = "ENC-BACKUP"
_SAYS = "Vaults of an ENC gateway, each as docs/recovery.md opens it. Made by `enc-gateway backup`.\n"


@click.command()
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
@options.configured
@options.as_json
def backup(directory: Path, settings: Config, as_json: bool) -> None:
    """Bring DIRECTORY up to date: a copy of every vault, consistent also while it is in use.

    Nothing in it is plaintext. A copy is replaced as a whole or not at all, and one whose project was removed is kept.
    Exits with 75 when a vault gave no consistent copy, for the earlier one is still there then.
    """
    with privileges.root():
        _prepare(directory)
    account = privileges.owner(settings.paths_vaults)
    copied = []
    for principal, home in vaults.homes(settings):
        for name in store.names(home):
            vault = Vault(name=name, path=os.path.join(home, name))
            copied.append(_one(account, principal, vault, directory / principal.directory))
    failed = [one for one in copied if one.problem]
    administration.record(settings, "backup", vaults=len(copied), incomplete=len(failed))
    rows = [(one.principal, one.project, one.problem or "copied", str(one.attempts)) for one in copied]
    words = output.table(("PRINCIPAL", "PROJECT", "RESULT", "ATTEMPTS"), rows, "no projects")
    fields = {"directory": str(directory), "vaults": [one.as_dict() for one in copied], "incomplete": len(failed)}
    output.result(fields, words, as_json)
    sys.exit(Busy.code if failed else 0)


def _one(account: copying.Account, principal: Principal, vault: Vault, target: Path) -> CopyResult:
    """One vault's trouble is not the others'."""
    try:
        with privileges.root():
            target.mkdir(mode=0o700, exist_ok=True)
            return copying.back_up(account, principal, vault, target)
    except EncError as error:
        return CopyResult(principal=principal, project=vault.name, attempts=0, problem=error.line())


def _prepare(directory: Path) -> None:
    """Make it, or see that it is one of ours: what is removed in it must not be somebody else's. Raises Usage."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    mark = directory / _MARK
    if not mark.exists():
        if any(directory.iterdir()):
            raise Usage(f"{directory} is not empty and no backup of a gateway", "name another directory")
        mark.write_text(_SAYS, encoding="utf-8")


@click.command()
@click.argument("directory", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("principal")
@click.argument("project")
@click.option("--as", "name", default="", help="The project's name from now on; by default PROJECT.restored.")
@options.configured
@options.as_json
def restore(directory: Path, principal: str, project: str, name: str, settings: Config, as_json: bool) -> None:
    """Bring PROJECT of PRINCIPAL back from the backup in DIRECTORY, beside the live one, which is not touched.

    Its shape is checked here; whether its content is whole, only its owner can check: `ssh -t gateway fsck NAME`.
    """
    whose = Principal.of_fingerprint(principal) if principal.startswith("SHA256:") else Principal.of(principal)
    source = directory / whose.directory / ProjectName.of(project)
    with privileges.root():
        if not (directory / _MARK).exists() or not source.is_dir():
            raise NoSuchProject(f"{directory} has no copy of that project", "`enc-gateway backup` makes one")
    new = ProjectName.of(name or f"{project}.restored")
    home = store.home(settings.paths_vaults, whose)
    final = Vault(name=new, path=os.path.join(home, new))
    draft = Vault(name=new, path=os.path.join(home, _DRAFT + new))
    _refuse_if_there(final)
    try:
        shutil.rmtree(draft.path, ignore_errors=True)  # of a run that was killed
        with privileges.root():
            copying.restore(privileges.owner(settings.paths_vaults), source, draft.path)
        _check(draft)
        _refuse_if_there(final)
        os.rename(draft.path, final.path)
    finally:
        shutil.rmtree(draft.path, ignore_errors=True)
    administration.record(settings, "restored", principal=whose, project=new)
    words = f"restored {project} of {whose} as {new}; its owner can check it: ssh -t gateway fsck {new}"
    output.result({"principal": whose, "project": project, "restored_as": new}, words, as_json)


def _refuse_if_there(vault: Vault) -> None:
    if os.path.lexists(vault.path):
        raise CannotCreate(f"there is a project {vault.name} already", "--as gives it another name")


def _check(vault: Vault) -> None:
    store.check(vault)
    if wrong := ciphertext.find_problems(vault):
        raise DamagedVault(f"the copy is damaged: {'; '.join(wrong)}", "nothing was restored")
