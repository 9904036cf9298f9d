"""`enc-gateway vaults`: list the projects of all principals, from the vaults on disk."""

from __future__ import annotations

import os
import time

import click

from gateway.admin import hosts, options, output
from gateway.base import clock, text
from gateway.base.records import Record
from gateway.config.schema import Config
from gateway.errors import DamagedVault, Misconfigured
from gateway.identity import authorized_keys
from gateway.identity.names import Principal, ProjectName
from gateway.limits.disk import usage
from gateway.session import registry
from gateway.vault import lease, store
from gateway.vault.members import membership
from gateway.vault.members.membership import Member
from gateway.vault.slots import stored
from gateway.vault.slots.stored import Slot
from gateway.vault.store import Vault

_SIZES_TIMEOUT = 30.0
"""Seconds for counting the sizes of all vaults together."""


class AdmittedMember(Record):
    """A member, with the kinds of their ways to unlock, and when what they had unlocked was last locked ("": never)."""

    member: Member
    kinds: tuple[str, ...]
    last_used: str

    def fields(self) -> dict[str, object]:
        return {**fields(self.member), "kinds": list(self.kinds), "last_used": self.last_used}


def fields(one: Member) -> dict[str, object]:
    """A member for programs."""
    until = one.invited_until
    return {"member": one.principal, "role": one.role.value, "since": one.since, "invited_until": until}


def described(one: Member) -> str:
    """A member for people."""
    return f"{one.principal} ({one.role.value}{f', invited until {one.invited_until}' if one.invited_until else ''})"


class ListedVault(Record):
    """A vault. `state` is locked, unlocked, damaged, or unreadable when the disk fails; `problem` says why. `owner` is
    the fingerprint of the key that made it. `ownerless`: no line of authorized_keys has its principal. `size` is in
    bytes, and too low when not `size_complete`. `slots` are names with kinds; `unbound` are the names of those that
    nothing binds to the vault, because they are older than that. `members` are those beside the owner, who is
    `principal`. `host` is the one of a cluster that has it unlocked.
    """

    principal: str
    project: str
    owner: str
    state: str
    problem: str
    ownerless: bool
    size: int
    size_complete: bool
    last_used: str
    slots: tuple[str, ...]
    unbound: tuple[str, ...]
    members: tuple[AdmittedMember, ...]
    host: str = ""


def collect(settings: Config) -> tuple[ListedVault, ...]:
    """Every vault, by principal and project. Raises Misconfigured when authorized_keys cannot be read."""
    entries = authorized_keys.load(settings.paths_authorized_keys)
    principals = {named for entry in entries if (named := _principal(entry))}
    sessions = {settings.cluster_host: registry.live(settings.paths_run)}
    sessions |= {host.name: host.sessions for host in hosts.others(settings)}
    unlocked = {
        (session.principal, view.project): host
        for host, live in sessions.items()
        for session in live
        for view in session.views
    }
    deadline = time.monotonic() + _SIZES_TIMEOUT
    return tuple(
        _listed(vault, principal, principals, unlocked.get((principal, vault.name)), deadline)
        for principal, home in homes(settings)
        for vault in (Vault(name=name, path=os.path.join(home, name)) for name in _names(home))
    )


def homes(settings: Config) -> list[tuple[Principal, str]]:
    """Each principal and their directory. Other entries are skipped, links among them."""
    return store.homes(settings.paths_vaults)


def _names(home: str) -> tuple[ProjectName, ...]:
    """The projects in a principal's directory; none where that is not the account's (`doctor` reports it)."""
    try:
        return store.names(home)
    except OSError:
        return ()


def _principal(entry: authorized_keys.Entry) -> str:
    try:
        return "" if entry.invitation_for else entry.principal or authorized_keys.fingerprint(entry.blob)
    except ValueError:
        return ""


def _listed(
    vault: Vault, principal: Principal, principals: set[str], unlocked_on: str | None, deadline: float
) -> ListedVault:
    state, problem = "locked" if unlocked_on is None else "unlocked", ""
    slots: tuple[Slot, ...] = ()
    try:
        slots = store.check(vault)
    except (DamagedVault, Misconfigured) as error:
        state, problem = "damaged" if isinstance(error, DamagedVault) else "unreadable", error.line()
    size, complete = usage.size(vault.path, max(0.0, deadline - time.monotonic()))
    return ListedVault(
        principal=principal,
        project=vault.name,
        owner=_owner(vault),
        state=state,
        problem=problem,
        ownerless=principal not in principals,
        size=size,
        size_complete=complete,
        last_used=clock.utc(used) if (used := lease.last_used(vault)) and used >= 1 else "",
        slots=tuple(f"{slot.name} ({slot.kind.value})" for slot in slots),
        unbound=tuple(slot.name for slot in slots if not slot.binding),
        members=tuple(_admitted(vault, slots, one) for one in membership.of(slots, principal)),
        host=unlocked_on or "",
    )


def _admitted(vault: Vault, slots: tuple[Slot, ...], member: Member) -> AdmittedMember:
    theirs = [slot for slot in slots if slot.principal == member.principal]
    return AdmittedMember(
        member=member,
        kinds=tuple(dict.fromkeys(slot.kind.value for slot in theirs)),
        last_used=max((stored.last_used(vault.slots, slot) for slot in theirs), default=""),
    )


def _owner(vault: Vault) -> str:
    try:
        return str(store.read_metadata(vault)["owner"])
    except (DamagedVault, Misconfigured, KeyError):
        return ""


@click.command(name="vaults")
@click.option("--ownerless", is_flag=True, help="Only projects whose principal has no key.")
@click.option("--damaged", is_flag=True, help="Only damaged projects.")
@options.configured_somehow
@options.as_json
def vaults_(ownerless: bool, damaged: bool, settings: Config, as_json: bool) -> None:
    """List the projects of all principals, with their members.

    PRINCIPAL is the owner. MEMBERS are all others who may unlock the project, or are invited; --json says since when,
    and when they last had it unlocked.
    """
    listed = [one for one in collect(settings) if one.ownerless >= ownerless and (one.state == "damaged") >= damaged]
    prints = output.Fingerprints(who for one in listed for who in (one.principal, *_principals(one)))
    rows = [(prints.short(one.principal), *_row(one, prints)) for one in listed]
    whole = ["PROJECT"]
    if all(len(principal) <= _MOST_WHOLE for principal, *_ in rows):
        whole.append("PRINCIPAL")
    header = _HEADER
    if settings.cluster_directory:
        header = (*_HEADER[:3], "HOST", *_HEADER[3:])
        rows = [(*row[:3], one.host or "-", *row[3:]) for one, row in zip(listed, rows, strict=True)]
    words = output.table(header, rows, "no projects", whole, optional=("MEMBERS", "REMARK"))
    output.result({"vaults": [_fields(one, settings) for one in listed]}, words, as_json)


def _fields(one: ListedVault, settings: Config) -> dict[str, object]:
    members = [member.fields() for member in one.members]
    values = {name: value for name, value in one.as_dict().items() if name != "host" or settings.cluster_directory}
    return {**values, "slots": list(one.slots), "unbound": list(one.unbound), "members": members}


def _principals(one: ListedVault) -> list[str]:
    return [admitted.member.principal for admitted in one.members]


_MOST_WHOLE = 15
"""Characters of a principal's name that are not broken, such as those of a short fingerprint."""
_HEADER: tuple[str, ...] = ("PRINCIPAL", "PROJECT", "STATE", "SIZE", "LAST USED", "SLOTS", "MEMBERS", "REMARK")


def _slots(one: ListedVault) -> str:
    """The names of the slots, with their kinds where these say more."""
    pairs = (slot.removesuffix(")").split(" (") for slot in one.slots)
    return ", ".join(name if name == kind else f"{name} ({kind})" for name, kind in pairs)


def _row(one: ListedVault, prints: output.Fingerprints) -> tuple[str, ...]:
    size = text.human_size(one.size) + ("" if one.size_complete else " or more")
    ownerless = "no key has this principal" if one.ownerless else ""
    unbound = f"not bound to this project: {', '.join(one.unbound)}" if one.unbound else ""
    remark = "; ".join(filter(None, (one.problem, ownerless, unbound)))
    members = (each.member.replace(principal=Principal(prints.short(each.member.principal))) for each in one.members)
    with_members = (_slots(one) or "-", ", ".join(map(described, members)) or "-")
    return one.project, one.state, size, output.when(one.last_used, "never"), *with_members, remark or "-"
