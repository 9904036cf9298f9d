"""Make the links by which members find a project agree with its slots, which say who is a member.

A crash between the two steps of a change, a restored project, a link that somebody removed: `enc-gateway sweep` finds
them all. What changes a vault as a whole calls `of_vault`.
"""

from __future__ import annotations

import os

from gateway.base import files
from gateway.base.clock import utc_now
from gateway.base.records import Record
from gateway.errors import EncError
from gateway.identity.names import Principal, ProjectName, SharedName
from gateway.vault import store
from gateway.vault.members import links, membership
from gateway.vault.members.links import Link
from gateway.vault.slots import change, survey
from gateway.vault.store import Vault

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.vault.members.membership import Member


class Repaired(Record):
    """How many links were written, because they were missing or said something else, and how many were removed. In
    `problems` is what could not be done.
    """

    put: int = 0
    removed: int = 0
    problems: tuple[str, ...] = ()


class Difference(Record):
    """What `member` has, and what the slots of the project say that they should have. One of the two may be None."""

    member: Principal
    name: SharedName
    found: Link | None
    wanted: Link | None

    @property
    def is_stray(self) -> bool:
        """Whether the link leads to nothing. That of an invitation does when it has expired, which is no fault."""
        until = self.found.invited_until if self.found else ""
        return self.wanted is None and not (until and until <= utc_now())


def repair(root: str) -> Repaired:
    """Mend the links of all members in the directory `root` of all vaults. Raises OSError when it cannot be read."""
    put = removed = 0
    problems: list[str] = []
    for one in differences(root):
        try:
            done = agree(root, one.member, one.name)
        except EncError as error:
            problems.append(f"{one.member}'s link to {one.name}: {error.line()}")
            continue
        put += done is not None and done.wanted is not None
        removed += done is not None and done.wanted is None
        if done and done.wanted is None and links.exists(root, one.member, one.name):
            problems.append(f"{one.member}'s link to {one.name} cannot be removed")
            removed -= 1
    for member, home in store.homes(root):
        for owner in links.owners(root, member):
            files.remove_abandoned(os.path.join(home, links.DIRECTORY, owner.directory))
    return Repaired(put=put, removed=removed, problems=tuple(problems))


def differences(root: str) -> list[Difference]:
    """Where links and slots disagree now. A vault that cannot be read has those that it has. Raises OSError."""
    wanted = {
        (member.principal, name): _link(name, member)
        for found in survey.vaults(root)
        for name in (SharedName.made_of(found.owner, found.project),)
        for member in membership.of(found.slots, found.owner)
        if not member.has_expired
    }
    there = {(member, name) for member, _ in store.homes(root) for name in links.names(root, member)}
    both = sorted({*wanted, *there})
    pairs = ((one, links.find(root, *one), wanted.get(one)) for one in both)
    return [
        Difference(member=member, name=name, found=found, wanted=link)
        for (member, name), found, link in pairs
        if found != link and (link or not _is_unreadable(root, name))
    ]


def of_vault(root: str, owner: Principal, project: ProjectName) -> tuple[Member, ...]:
    """Give the members of a vault their links; who they are. Raises DamagedVault, Misconfigured."""
    name = SharedName.made_of(owner, project)
    found = membership.of(store.check(_vault(root, name)), owner)
    for member in found:
        if not member.has_expired:
            links.put(root, member.principal, _link(name, member))
    return found


def agree(root: str, member: Principal, name: SharedName) -> Difference | None:
    """Make one link what the slots say now. Whoever changes the slots calls it afterwards: others may have changed them
    meanwhile, so both are looked at while nobody does. Returns what was changed. Raises EncError.
    """
    vault = _vault(root, name)
    lock = change.lock(vault) if os.path.isdir(vault.path) else -1
    try:
        who = None if lock < 0 else membership.find(store.check(vault), name.owner, member)
        found, wanted = links.find(root, member, name), _link(name, who) if who and not who.has_expired else None
        if found == wanted and (wanted or not links.exists(root, member, name)):
            return None
        if wanted:
            links.put(root, member, wanted)
        else:
            links.remove(root, member, name)
        return Difference(member=member, name=name, found=found, wanted=wanted)
    finally:
        if lock >= 0:
            os.close(lock)


def _is_unreadable(root: str, name: SharedName) -> bool:
    vault = _vault(root, name)
    try:
        return os.path.isdir(vault.path) and not store.check(vault)
    except EncError:
        return True


def _vault(root: str, name: SharedName) -> Vault:
    return Vault(name=name, path=os.path.join(root, name.owner.directory, name.project))


def _link(name: SharedName, member: Member) -> Link:
    return Link(name=name, role=member.role.value, invited_until=member.invited_until)
