"""Invite somebody to a project, or list its members."""

from __future__ import annotations

import time

from gateway.base import text
from gateway.base.clock import utc
from gateway.errors import Denied, Usage
from gateway.identity import authorized_keys
from gateway.identity.names import Principal, SharedName, in_vault
from gateway.vault import gocryptfs, lease, store
from gateway.vault.members import membership
from gateway.vault.members.membership import Member
from gateway.vault.slots import invitation
from gateway.vault.slots.stored import Kind, Role, Slot
from gateway.vault.store import Vault
from rshell.context import Context, own, required
from rshell.language.command import Command
from rshell.session import invited, slot_changes, unlocking
from rshell.terminal import output, questions

_MOST = 64
"""Members of a project. Each has slots of their own, which whoever unlocks it reads."""
_DAY = 86400


def run(context: Context, command: Command) -> int:
    """Without WHO, list the members. Else ask for a secret that opens the project, and print a code for WHO."""
    if not command.value:
        return _list(context, command)
    slots = check(context, command)
    who, role = Principal.of_word(command.value), Role.READER if "--read" in command.flags else Role.WRITER
    project, require_key = own(command.project), context.key_checker()
    vault = context.vault(project)
    questions.ready("a secret of the project")
    opened = unlocking.prove(context, vault, slots, unlocking.ask(vault, slots, require_key, or_code=True), require_key)
    expires = utc(time.time() + (command.days or invitation.DAYS) * _DAY)
    new, code = invitation.new(who, role, expires, context.caller.fingerprint)
    fields: dict[str, object] = {"member": who, "role": role.value, "expires": expires}

    def earlier(slot: Slot) -> bool:
        if slot.kind is not Kind.INVITATION and slot.principal == who:  # accepted meanwhile
            raise _is_member(vault, who, slot.role)
        return slot.kind is Kind.INVITATION and (slot.principal == who or invitation.has_expired(slot))

    slot_changes.share(context, vault, opened, new, code, earlier, fields)
    name, words = invited.link(context, vault, new), invited.words(context, vault, new, code)
    live = context.session_with(project)
    fields["after_lock"] = bool(live and not live.shared)
    if fields["after_lock"]:
        words += f"\n{who} can join after you have locked {project} and mounted it again."
    output.result({"project": project, "name": name, **fields, "code": code.decode()}, words, command.wants_json)
    return 0


def check(context: Context, command: Command) -> tuple[Slot, ...]:
    """The owner's slots. Raises what can be found before a secret is asked for."""
    vault = context.vault(command.project)
    if not command.value:
        return _slots_of_member(context, command)
    if isinstance(command.project, SharedName):
        raise Denied(f"only its owner shares {command.project}", f"ask {command.project.owner}")
    gocryptfs.require()
    who = Principal.of_word(command.value)
    if who == context.caller.principal:
        raise Usage("that is you", f"`share {vault.name}` lists the members")
    if not _is_somebody(context, who):
        raise Usage(f"nobody here is called {who}", "`whoami` tells each user their name")
    slots = store.check(vault)
    members = membership.of(slots, context.caller.principal)
    there = next((one for one in members if one.principal == who), None)
    if there and not there.invited_until:
        raise _is_member(vault, who, there.role)
    if not there and len(members) >= _MOST:
        raise Usage(f"{vault.name} has {_MOST} members, which is the most", "`unshare` ends somebody's access")
    lease.require_writable(vault)
    return unlocking.own(vault, slots, context.caller.principal, context.caller.principal)


def _is_member(vault: Vault, who: Principal, role: Role) -> Usage:
    hint = f"`unshare {vault.name} {who}` first, to change what they may do"
    return Usage(f"{who} is a member of {vault.name} already ({role.value})", hint)


def _is_somebody(context: Context, who: Principal) -> bool:
    """Whether a key may log in as `who`."""
    entries = authorized_keys.load(context.config.paths_authorized_keys)
    return any(not one.problem and authorized_keys.authorizes(one, one.blob, who) for one in entries)


def _slots_of_member(context: Context, command: Command) -> tuple[Slot, ...]:
    """All of them, for the owner and for members."""
    vault = context.vault(command.project)
    slots = store.check(vault)
    unlocking.own(vault, slots, context.caller.principal, context.owner_of(command.project))
    return slots


def _list(context: Context, command: Command) -> int:
    project, owner = required(command.project), context.owner_of(command.project)
    members = membership.of(_slots_of_member(context, command), owner)
    live = context.session_with(project)
    everybody = (Member(principal=owner, role=Role.OWNER, since="", invited_until=""), *members)
    has_it = {one.principal for one in everybody if live and live.is_held_by(one.principal)}
    listed = [{**_fields(one), "holds": one.principal in has_it} for one in everybody]
    rows = [(one.principal, one.role.value, _state(one, one.principal in has_it)) for one in everybody]
    words = text.columns([("MEMBER", "ROLE", "STATE"), *rows])
    output.result({"project": project, "name": in_vault(project), "members": listed}, words, command.wants_json)
    return 0


def _fields(one: Member) -> dict[str, object]:
    return {"member": one.principal, "role": one.role.value, "since": one.since, "invited_until": one.invited_until}


def _state(one: Member, has_it: bool) -> str:
    if one.invited_until:
        return "invitation expired" if one.has_expired else f"invited until {one.invited_until}"
    since = f"since {one.since}" if one.since else ""
    return ", ".join(filter(None, (since, "has it unlocked" if has_it else ""))) or "-"
