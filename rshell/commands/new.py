"""Create a project."""

from __future__ import annotations

import os

from gateway.base.signals import SignalsBlocked
from gateway.errors import CannotCreate
from gateway.vault import store
from gateway.vault.slots import change
from gateway.vault.slots.change import Opened
from gateway.vault.slots.stored import Kind, Slot
from rshell.context import Context, own
from rshell.language.command import Command
from rshell.session import new_secrets, slot_changes
from rshell.terminal import output, questions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.identity.names import ProjectName
    from gateway.vault.store import Vault

_NOBODY = " Nobody can recover it for you; --recovery also makes a recovery code."
_WITH_CODE = " A recovery code will be shown once, when the project is made."
_WORDS = {"passphrase": "its passphrase", "ssh-key": "your SSH key", "recovery": "the recovery code"}


def run(context: Context, command: Command) -> int:
    """Ask for a passphrase (twice at a terminal), or take the signatures of a key, and create the vault."""
    from gateway.vault import garbage, lifecycle

    check(context, command)
    project = own(command.project)
    home = context.vaults_home
    garbage.sweep_home(home, context.config.trash_days)
    first, secret, vault_id = _first_way(context, command)
    recovery = new_secrets.recovery(context) if _wants_recovery(context, command) else None

    def complete(vault: Vault, made: Slot) -> None:
        if recovery:
            change.add(vault, Opened(slot=made, secret=secret), *recovery)

    context.require_key()  # it may have been revoked during the questions
    context.require_running()  # and the gateway paused
    with lifecycle.creation_lock(home):
        _require_quota(context)
        with SignalsBlocked():  # a project that exists is also recorded and reported
            fingerprint, pipe = context.caller.fingerprint, questions.pipe(secret)
            cost = context.config.passphrase_cost
            lifecycle.create(home, project, fingerprint, pipe, first, vault_id, complete, cost)
            kinds = [first.kind.value, *([Kind.RECOVERY.value] if recovery else [])]
            context.audit.write("created", project=project, kinds=kinds)
            _report(command, project, kinds, recovery[1] if recovery else b"")
    return 0


def _report(command: Command, project: ProjectName, kinds: list[str], code: bytes) -> None:
    fields = {"project": project, "created": True, "kinds": kinds, **({"code": code.decode()} if code else {})}
    words = f"created {project}; it is unlocked by {' or '.join(_WORDS[kind] for kind in kinds)}"
    output.result(fields, f"{words}\n{new_secrets.print_code(code)}" if code else words, command.wants_json)


def _first_way(context: Context, command: Command) -> tuple[Slot, bytes, str]:
    """The first slot, its secret, and the id that the vault must have ("": any)."""
    from gateway.vault import lifecycle

    if "--key" in command.flags:
        return new_secrets.key(context, "", (), context.key_checker())
    minimum = slot_changes.minimum(context, command.flags)
    more = _WITH_CODE if _wants_recovery(context, command) else _NOBODY
    secret = new_secrets.passphrase(minimum, context.key_checker(), more)
    return lifecycle.passphrase_slot(context.caller.fingerprint), secret, ""


def _wants_recovery(context: Context, command: Command) -> bool:
    required = context.config.unlock_recovery == "required"
    return "--recovery" in command.flags or (required and "--no-recovery" not in command.flags)


def check(context: Context, command: Command) -> None:
    """Raise CannotCreate if the name is taken, or the caller is at a limit (projects, disk)."""
    if os.path.lexists(os.path.join(context.vaults_home, own(command.project))):
        raise CannotCreate(f"you already have a project {command.project}")
    context.require_no_sharer(own(command.project))
    _require_quota(context)
    kinds = [Kind.SSH_KEY if "--key" in command.flags else Kind.PASSPHRASE]
    kinds += [Kind.RECOVERY] if _wants_recovery(context, command) else []
    for kind in kinds:
        new_secrets.require_allowed(context, kind)
    planned = tuple(new_secrets.slot(context, kind) for kind in kinds)
    new_secrets.require_way_back(planned, context, command.flags)


def _require_quota(context: Context) -> None:
    """Raise CannotCreate if the caller is at `limits.projects` or `limits.disk`."""
    most = context.config.limits_projects
    if most and len(store.names(context.vaults_home)) >= most:
        raise CannotCreate(f"you already have {most} projects, which is your limit", "remove one with `rm`")
    if context.config.limits_disk:
        from gateway.limits.disk import usage

        usage.require_quota_left(context.vaults_home, context.config.limits_disk)
