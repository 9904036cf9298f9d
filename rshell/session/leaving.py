"""End somebody's membership: their slots, what they hold, and the link by which they find the project."""

from __future__ import annotations

import contextlib
import time

from gateway.base.signals import SignalsBlocked
from gateway.cluster import mirror
from gateway.errors import Busy, EncError, NotUnlocked
from gateway.identity.names import Principal, SharedName, in_vault
from gateway.session import asking, protocol
from gateway.vault import lease
from gateway.vault.members import repair
from gateway.vault.slots import change
from gateway.vault.store import Vault
from rshell.context import Context
from rshell.session import warden_client

_OPENING_SECONDS = 30.0
"""For a session that had read the slot before it went, and shows itself when gocryptfs serves."""
_PAUSE = 0.2


def remove(context: Context, vault: Vault, member: Principal, reason: str) -> None:
    """Returns when nothing of `member`'s goes on. `reason` is a slug of gateway.audit.reasons. Raises what
    `change.remove_of` raises, Busy for a session that does not answer, Misconfigured while it is not known whose keys
    are good (nobody can take it back), and as `Context.require_here`: only on its host can a session be told.
    """
    mirror.require_fresh(context.config)
    if not context.session_with(vault.name):
        context.require_here(vault.name)
    owner = context.owner_of(vault.name)
    with SignalsBlocked():
        gone = change.remove_of(vault, member)
        kinds = [slot.kind.value for slot in gone]
        about = {"owner": owner, "member": member, "role": gone[0].role.value, "kinds": kinds}
        context.audit.write(reason, project=vault.name, **about)
    try:
        _expel(context, vault, member, reason)
    finally:
        with contextlib.suppress(EncError):  # `sweep` finds what is left of the link
            repair.agree(context.config.paths_vaults, member, SharedName.made_of(owner, in_vault(vault.name)))


def _expel(context: Context, vault: Vault, member: Principal, reason: str) -> None:
    """End what the member holds, also in a session that is only just opening: then the vault is taken already."""
    until = time.monotonic() + _OPENING_SECONDS
    while True:
        if live := context.session_with(vault.name):
            if live.shared:
                request = protocol.Expel(
                    principal=context.caller.principal, origin=context.origin, member=member, reason=reason
                )
                try:
                    warden_client.ask(context, live, request, asking.LOCK_SECONDS)
                except NotUnlocked:  # it has just ended
                    continue
            return
        if not lease.is_held_by_session(vault):
            return
        if time.monotonic() > until:
            about = f"{member} has no way to unlock {vault.name} any more, but something still works at it"
            raise Busy(about, f"if `status` shows {member} there, `unmount {vault.name} --all` ends it")
        time.sleep(_PAUSE)
