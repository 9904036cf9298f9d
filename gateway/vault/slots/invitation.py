"""Invitations: a code with which one named principal makes a slot of their own, once, until a time.

The code is like a recovery code. It opens the vault for `accept` alone: nobody mounts with it.
"""

from __future__ import annotations

import os

from gateway.base.clock import utc_now
from gateway.identity.names import Principal
from gateway.vault.slots import change, recovery_code
from gateway.vault.slots.stored import Kind, Role, Slot

DAYS = 7
"""For which one is good, unless its owner says otherwise."""


def new(principal: Principal, role: Role, expires: str, fingerprint: str) -> tuple[Slot, bytes]:
    """A slot for `principal`, good until `expires` (UTC, RFC 3339), and the code that opens it. `fingerprint` is of the
    key with which the owner had logged in.
    """
    slot = Slot(
        name=change.first_name(Kind.INVITATION),
        kind=Kind.INVITATION,
        label="",
        created=utc_now(),
        fingerprint=fingerprint,
        id=os.urandom(8).hex(),
        role=role,
        principal=principal,
        expires=expires,
    )
    return slot, recovery_code.new().encode()


def has_expired(slot: Slot) -> bool:
    return bool(slot.expires) and slot.expires <= utc_now()
