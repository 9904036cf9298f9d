"""Who is a member of a vault: whoever has a slot in it. The slots are the only place that says so."""

from __future__ import annotations

from gateway.base.clock import utc_now
from gateway.base.records import Record
from gateway.identity.names import Principal
from gateway.vault.slots.stored import Kind, Role, Slot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


class Member(Record):
    """`since` is when they got in, or were invited; `invited_until` is "" for who has a slot of their own. Times are
    UTC, RFC 3339.
    """

    principal: Principal
    role: Role
    since: str
    invited_until: str

    @property
    def has_expired(self) -> bool:
        """Whether it was an invitation, and is none any more."""
        return bool(self.invited_until) and self.invited_until <= utc_now()


def of(slots: Iterable[Slot], owner: Principal) -> tuple[Member, ...]:
    """The members beside the owner, sorted, and those with an invitation, which may have expired."""
    found: dict[str, Member] = {}
    for slot in sorted(slots, key=lambda one: (one.kind is Kind.INVITATION, one.created)):
        if slot.is_of(owner, owner) or slot.principal in found:
            continue
        until = slot.expires if slot.kind is Kind.INVITATION else ""
        who = Principal(slot.principal)
        found[who] = Member(principal=who, role=slot.role, since=slot.created, invited_until=until)
    return tuple(found[name] for name in sorted(found))


def find(slots: Iterable[Slot], owner: Principal, principal: Principal) -> Member | None:
    return next((one for one in of(slots, owner) if one.principal == principal), None)
