"""Join a project that somebody shares: a slot of one's own, with the code of an invitation."""

from __future__ import annotations

import os

from gateway.errors import CannotCreate, Usage
from gateway.identity.names import SharedName
from gateway.vault import gocryptfs, lease, store
from gateway.vault.members import repair
from gateway.vault.slots import invitation, recovery_code
from gateway.vault.slots.stored import Kind, Slot
from rshell.context import Context, required
from rshell.language.command import Command
from rshell.session import new_secrets, slot_changes, unlocking
from rshell.terminal import output, questions


def run(context: Context, command: Command) -> int:
    """Ask for the code, then take two signatures, or ask for a passphrase. The code opens nothing afterwards."""
    invitations, kind = check(context, command), _kind(command)
    name, require_key = _shared(command), context.key_checker()
    vault = context.vault(name)
    minimum = slot_changes.minimum(context, command.flags)
    at_least = f" (the passphrase needs at least {minimum} characters)" if kind is Kind.PASSPHRASE else ""
    questions.ready(f"the code of the invitation{at_least}")
    code = recovery_code.canonical(questions.secret(f"Code of the invitation to {name}: ", require_key)).encode()
    opened = unlocking.prove(context, vault, invitations, code, require_key)
    if kind is Kind.SSH_KEY:
        new, secret, _ = new_secrets.key(context, store.identity(vault), (), require_key)
    else:
        new = new_secrets.slot(context, Kind.PASSPHRASE, "passphrase")
        secret = new_secrets.passphrase(minimum, require_key)
    _require_good(invitations)
    made = slot_changes.accept(context, vault, opened, new, secret)
    repair.agree(context.config.paths_vaults, context.caller.principal, name)
    fields = {"project": name, "role": made.role.value, **new_secrets.fields(made)}
    by = "your SSH key" if kind is Kind.SSH_KEY else "your passphrase"
    words = f"you are a {made.role.value} of {name}; {by} opens it: mount {name}"
    output.result(fields, words, command.wants_json)
    return 0


def check(context: Context, command: Command) -> tuple[Slot, ...]:
    """The invitations of the caller. Raises what can be found before the code is asked for."""
    name, kind = _shared(command), _kind(command)
    gocryptfs.require()
    vault = context.vault(name)
    theirs = [slot for slot in store.check(vault) if slot.is_of(context.caller.principal, name.owner)]
    if any(slot.kind is not Kind.INVITATION for slot in theirs):
        raise Usage(f"you are a member of {name} already", f"`mount {name}` unlocks it")
    if not theirs:
        raise store.no_such_project(name)
    _require_good(tuple(theirs))
    if os.path.lexists(os.path.join(context.vaults_home, name.owner.word)):
        hint = f"rename your project first: mv {name.owner.word} NAME"
        raise CannotCreate(f"a project of yours is called {name.owner.word}, as the owner of this one", hint)
    new_secrets.require_allowed(context, kind)
    lease.require_writable(vault)
    return tuple(theirs)


def _require_good(invitations: tuple[Slot, ...]) -> None:
    if all(map(invitation.has_expired, invitations)):
        raise Usage("the invitation has expired", "ask the owner for another one")


def _shared(command: Command) -> SharedName:
    project = required(command.project)
    if not isinstance(project, SharedName):
        raise Usage("that is a project of your own", "accept takes OWNER/PROJECT")
    return project


def _kind(command: Command) -> Kind:
    return new_secrets.kind_of(command.value or "key", "key", "passphrase")
