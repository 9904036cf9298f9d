"""`enc-gateway backup` copies the ciphertext of all vaults; `restore` brings one project back under a new name."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from gateway.admin import options, output, vaults
from gateway.audit import administration
from gateway.base import files, privileges
from gateway.base.tree.walk import remove
from gateway.config.schema import Config
from gateway.errors import Busy, CannotCreate, DamagedVault, EncError, NoSuchProject, Usage
from gateway.identity.names import Principal, ProjectName
from gateway.vault import ciphertext, copying, realm, store
from gateway.vault.copying import CopyResult
from gateway.vault.store import Vault

_STAGED = ".restoring-"
"""Prefix of an unfinished restore. Not gateway.base.staging's, which `sweep` removes after an hour: a large project
takes longer.
"""

_MARKER = "ENC-BACKUP"
"""A file that shows that a directory is a backup of ours."""
_MARKER_TEXT = "Vaults of an ENC gateway. docs/recovery.md says how to open one. Made by `enc-gateway backup`.\n"


@click.command()
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
@options.configured
@options.as_json
def backup(directory: Path, settings: Config, as_json: bool) -> None:
    """Copy every vault to DIRECTORY, as ciphertext.

    A vault may be in use: its copy is of one moment, and replaces the previous copy as a whole. Copies of removed
    projects are kept. Exits with 75 when a vault could not be copied consistently; its previous copy is kept.
    """
    with privileges.root():
        _prepare(directory)
    account = privileges.owner(settings.paths_vaults)
    copied = []
    for principal, home in vaults.homes(settings):
        try:
            names = store.names(home)
        except OSError as error:
            problem = f"{home} cannot be read: {error.strerror}"
            copied.append(CopyResult(principal=principal, project="", attempts=0, problem=problem))
            continue
        for name in names:
            vault = Vault(name=name, path=os.path.join(home, name))
            copied.append(_copy_one(account, principal, vault, directory / principal.directory))
    _copy_realm(settings, directory)
    failed = [one for one in copied if one.problem]
    administration.record(settings, "backup", vaults=len(copied), incomplete=len(failed))
    rows = [(one.principal, one.project, one.problem or "copied", str(one.attempts)) for one in copied]
    words = output.table(("PRINCIPAL", "PROJECT", "RESULT", "ATTEMPTS"), rows, "no projects")
    fields = {"directory": str(directory), "vaults": [one.as_dict() for one in copied], "incomplete": len(failed)}
    output.result(fields, words, as_json)
    sys.exit(Busy.code if failed else 0)


def _copy_realm(settings: Config, directory: Path) -> None:
    """The realm of the vaults: without it no SSH key unlocks what is restored elsewhere."""
    known = realm.peek(settings.paths_vaults)
    if known:
        with privileges.root():
            files.replace(directory / realm.FILE, known + "\n")


def _restore_realm(settings: Config, directory: Path) -> None:
    """Give a store that has no realm yet the one of the backup: that of a new gateway in the place of the old one."""
    with privileges.root():
        known = realm.peek(str(directory))
    if known and not realm.peek(settings.paths_vaults):
        files.replace(os.path.join(settings.paths_vaults, realm.FILE), known + "\n")


def _copy_one(account: copying.Account, principal: Principal, vault: Vault, target: Path) -> CopyResult:
    """Copy one vault. A failure is returned in the result, so that the other vaults are still copied."""
    try:
        with privileges.root():
            target.mkdir(mode=0o700, exist_ok=True)
            return copying.back_up(account, principal, vault, target)
    except EncError as error:
        problem = error.line()
    except OSError as error:
        problem = f"the backup cannot be written: {error.strerror}"
    return CopyResult(principal=principal, project=vault.name, attempts=0, problem=problem)


def _prepare(directory: Path) -> None:
    """Make the directory, or check that it is a backup of ours, because `backup` deletes in it. Raises Usage."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    marker = directory / _MARKER
    if not marker.exists():
        if any(directory.iterdir()):
            raise Usage(f"{directory} is not empty and is not a backup of a gateway", "name another directory")
        marker.write_text(_MARKER_TEXT, encoding="utf-8")


@click.command()
@click.argument("directory", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("principal")
@click.argument("project")
@click.option("--as", "name", default="", show_default="PROJECT.restored", help="Name of the restored project.")
@options.configured
@options.as_json
def restore(directory: Path, principal: str, project: str, name: str, settings: Config, as_json: bool) -> None:
    """Restore a project from a backup, under a new name.

    The live project stays as it is. restore checks the structure of the copy; only its owner can check the content:
    `ssh -t gateway fsck NAME`.
    """
    whose = Principal.of_fingerprint(principal) if principal.startswith("SHA256:") else Principal.of(principal)
    source = directory / whose.directory / ProjectName.of(project)
    with privileges.root():
        if not (directory / _MARKER).exists() or not source.is_dir():
            raise NoSuchProject(
                f"{directory} has no copy of that project", "`enc-gateway backup` prints what it copied"
            )
    new = ProjectName.of(name or f"{project}.restored")
    home = store.home(settings.paths_vaults, whose)
    final = Vault(name=new, path=os.path.join(home, new))
    staged = Vault(name=new, path=os.path.join(home, _STAGED + new))
    _require_absent(final)
    try:
        with privileges.root():
            copying.restore(privileges.owner(settings.paths_vaults), source, staged.path)
        _check(staged)
        _require_absent(final)
        os.rename(staged.path, final.path)
        _restore_realm(settings, directory)
    finally:
        remove(staged.path)
    administration.record(settings, "restored", principal=whose, project=new)
    words = f"restored {project} of {whose} as {new}; its owner can check it: ssh -t gateway fsck {new}"
    output.result({"principal": whose, "project": project, "restored_as": new}, words, as_json)


def _require_absent(vault: Vault) -> None:
    if os.path.lexists(vault.path):
        raise CannotCreate(f"the project {vault.name} exists already", "choose another name with --as")


def _check(vault: Vault) -> None:
    store.check(vault)
    if wrong := ciphertext.find_problems(vault):
        raise DamagedVault(f"the copy is damaged: {'; '.join(wrong)}", "nothing was restored")
