"""Rename a project."""

from __future__ import annotations

import contextlib
import os

from gateway.base.signals import SignalsBlocked
from gateway.errors import CannotCreate, DamagedVault
from gateway.identity.names import ProjectName, SharedName
from gateway.vault import lease, lifecycle
from gateway.vault.members import links, repair
from rshell.context import Context, own
from rshell.language.command import Command
from rshell.terminal import output


def run(context: Context, command: Command) -> int:
    """Rename the project. Raises Busy while it is unlocked, CannotCreate if the new name is taken."""
    new = check(context, command)
    vault = context.vault(command.project)
    holder = context.lease_holder("mv")
    with lifecycle.creation_lock(context.vaults_home), SignalsBlocked():
        lifecycle.rename(context.vaults_home, vault, new, holder)
        _tell_members(context, own(command.project), new)
        context.audit.write("renamed", project=vault.name, to=new)
        fields = {"project": vault.name, "renamed_to": new}
        output.result(fields, f"renamed {vault.name} to {new}", command.wants_json)
    return 0


def _tell_members(context: Context, old: ProjectName, new: ProjectName) -> None:
    """What is shared has another name from now on, for members as well."""
    root, owner = context.config.paths_vaults, context.caller.principal
    with contextlib.suppress(DamagedVault):  # `sweep` does it when it has been mended
        for one in repair.of_vault(root, owner, new):
            links.remove(root, one.principal, SharedName.made_of(owner, old))


def check(context: Context, command: Command) -> ProjectName:
    """The new name. Raises what prevents it now."""
    new = ProjectName.of(command.value)
    vault = context.vault(command.project)
    context.require_here(vault.name)
    if os.path.lexists(os.path.join(context.vaults_home, new)):
        raise CannotCreate(f"you already have a project {new}")
    context.require_no_sharer(new)
    lease.require_writable(vault)
    return new
