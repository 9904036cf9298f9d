"""List removed projects, bring one back, or delete it for good."""

from __future__ import annotations

import contextlib

from gateway.base import text
from gateway.base.signals import SignalsBlocked
from gateway.errors import CannotCreate, DamagedVault, Usage
from gateway.identity.names import ProjectName
from gateway.vault import lifecycle, store, trash
from gateway.vault.members import repair
from rshell.context import Context, own
from rshell.language.command import Command
from rshell.terminal import output, questions


def run(context: Context, command: Command) -> int:
    """Without an action, list what is in the caller's trash."""
    if command.action == "restore":
        return _restore(context, command)
    if command.action == "empty":
        return _empty(context, command)
    found = trash.names_in(context.vaults_home)
    rows = [("PROJECT", "REMOVED"), *((one.project, one.removed) for one in found)]
    words = text.columns(rows).rstrip("\n") if found else "the trash is empty"
    fields = {"trash": [{"project": one.project, "removed": one.removed} for one in found]}
    output.result(fields, words, command.wants_json)
    return 0


def check(context: Context, command: Command) -> None:
    """Raise NoSuchProject if there is nothing of that name."""
    if command.action:
        trash.find(context.vaults_home, own(command.project))


def _restore(context: Context, command: Command) -> int:
    latest = trash.find(context.vaults_home, own(command.project))[0]
    context.require_no_sharer(latest.project)
    most = context.config.limits_projects
    with lifecycle.creation_lock(context.vaults_home), SignalsBlocked():
        if most and len(store.names(context.vaults_home)) >= most:
            raise CannotCreate(f"you already have {most} projects, which is your limit", "remove one with `rm`")
        trash.restore(context.vaults_home, latest)
        _tell_members(context, latest.project)
        context.audit.write("restored", project=latest.project)
        fields = {"project": latest.project, "restored": True, "removed": latest.removed}
        output.result(fields, f"restored {latest.project}, removed {latest.removed}", command.wants_json)
    return 0


def _tell_members(context: Context, project: ProjectName) -> None:
    """Members have it again. What is damaged is there for its owner alone, until somebody mends it and `sweep` runs."""
    with contextlib.suppress(DamagedVault):
        repair.of_vault(context.config.paths_vaults, context.caller.principal, project)


def _empty(context: Context, command: Command) -> int:
    found = trash.find(context.vaults_home, own(command.project))
    name = found[0].project
    if "--yes" not in command.flags:
        if questions.line(f"Type {name} again to delete it for good: ", context.key_checker()) != name:
            raise Usage("that is not the project's name", "nothing was deleted")
        context.require_key()
    for one in found:
        trash.delete(one)
        context.audit.write("deleted", project=one.project, removed=one.removed)
    output.result({"project": name, "deleted": len(found)}, f"deleted {name} for good", command.wants_json)
    return 0
