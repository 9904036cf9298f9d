"""`enc-gateway restore` brings one project back from a backup, under a new name."""

from __future__ import annotations

import os
from pathlib import Path

import click

from gateway.admin import options, output, vaults
from gateway.admin.backup import copies
from gateway.admin.keys import known, lookup
from gateway.audit import administration
from gateway.base import files, privileges
from gateway.base.tree.walk import remove
from gateway.config.schema import Config
from gateway.errors import CannotCreate, DamagedVault, NoSuchProject
from gateway.identity.names import Principal, ProjectName
from gateway.vault import ciphertext, copying, realm, store
from gateway.vault.members import repair
from gateway.vault.store import Vault

_STAGED = ".restoring-"
"""Prefix of an unfinished restore. Not gateway.base.staging's, which `sweep` removes after an hour: a large project
takes longer.
"""

_MEMBERS = """
It has the members that it had when it was copied: {members}.
Its owner ends the access of those who are to have none any more: ssh -t gateway unshare {name} WHO"""


@click.command()
@click.argument("directory", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("principal", default="")
@click.argument("project", default="")
@click.option("--as", "name", default="", show_default="PROJECT.restored", help="Name of the restored project.")
@options.configured
@options.as_json
def restore(directory: Path, principal: str, project: str, name: str, settings: Config, as_json: bool) -> None:
    """Restore a project from a backup, under a new name.

    Without PRINCIPAL and PROJECT it lists the copies in DIRECTORY, without PROJECT those of PRINCIPAL, who can also be
    named by a key (its fingerprint, the beginning of one, or its label). The live project stays as it is. restore
    checks the structure of the copy; only its owner can check the content: `ssh -t gateway fsck NAME`.
    """
    whose = _principal(directory, principal, settings) if principal else None
    if not (whose and project):
        with privileges.root():
            found = copies.find(directory, whose or "")
        words = copies.table(found)
        if found:
            words += f"\n\nTo restore one: enc-gateway restore {directory} {found[0].principal} {found[0].project}"
        output.result({"copies": [one.fields() for one in found]}, words, as_json)
        return
    source = directory / whose.directory / ProjectName.of(project)
    with privileges.root():
        if not (directory / copies.MARKER).exists() or not source.is_dir():
            raise NoSuchProject(
                f"{directory} has no copy of that project", f"`enc-gateway restore {directory}` lists the copies"
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
    members = repair.of_vault(settings.paths_vaults, whose, new)
    administration.record(settings, "restored", principal=whose, project=new)
    words = f"restored {project} of {whose} as {new}; its owner can check it: ssh -t gateway fsck {new}"
    if members:
        words += _MEMBERS.format(members=", ".join(map(vaults.described, members)), name=new)
    fields: dict[str, object] = {"principal": whose, "project": project, "restored_as": new}
    fields["members"] = [vaults.fields(one) for one in members]
    output.result(fields, words, as_json)


def _principal(directory: Path, word: str, settings: Config) -> Principal:
    """Whom `word` names, among those with a copy and those that the gateway knows. Raises NoSuchKey, Usage."""
    with privileges.root():
        copied = tuple(map(known.of_principal, copies.principals(directory)))
    found = lookup.find_principal(word, (*copied, *known.everybody(settings)), lookup.nobody(word, str(directory)))
    return Principal.of_fingerprint(found) if found.startswith("SHA256:") else Principal.of(found)


def _restore_realm(settings: Config, directory: Path) -> None:
    """Give a store that has no realm yet the one of the backup: that of a new gateway in the place of the old one."""
    with privileges.root():
        known = realm.peek(str(directory))
    if known and not realm.peek(settings.paths_vaults):
        files.replace(os.path.join(settings.paths_vaults, realm.FILE), known + "\n")


def _require_absent(vault: Vault) -> None:
    if os.path.lexists(vault.path):
        raise CannotCreate(f"the project {vault.name} exists already", "choose another name with --as")


def _check(vault: Vault) -> None:
    store.check(vault)
    if wrong := ciphertext.find_problems(vault):
        raise DamagedVault(f"the copy is damaged: {'; '.join(wrong)}", "nothing was restored")
