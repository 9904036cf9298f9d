"""Rename a project."""

from __future__ import annotations

import os

from gateway.base.clock import utc_now
from gateway.base.signals import SignalsBlocked
from gateway.errors import CannotCreate
from gateway.identity.names import ProjectName
from gateway.vault import lease, lifecycle
from gateway.vault.lease import LeaseHolder
from rshell.context import Context
from rshell.language.command import Command
from rshell.terminal import output


def run(context: Context, command: Command) -> int:
    """Rename the project. Raises Busy while it is unlocked, CannotCreate if the new name is taken."""
    new = check(context, command)
    vault = context.vault(command.project)
    holder = LeaseHolder(session="mv", since=utc_now(), address=context.caller.address)
    with lifecycle.creation_lock(context.vaults_home), SignalsBlocked():
        lifecycle.rename(context.vaults_home, vault, new, holder)
        context.audit.write("renamed", project=vault.name, to=new)
        fields = {"project": vault.name, "renamed_to": new}
        output.result(fields, f"renamed {vault.name} to {new}", command.wants_json)
    return 0


def check(context: Context, command: Command) -> ProjectName:
    """The new name. Raises what prevents it now."""
    new = ProjectName.of(command.value)
    vault = context.vault(command.project)
    if os.path.lexists(os.path.join(context.vaults_home, new)):
        raise CannotCreate(f"you already have a project {new}")
    lease.require_writable(vault)
    return new
