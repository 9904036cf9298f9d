"""Give a project a new master key: a new vault, filled from the old one, takes its place in one step."""

from __future__ import annotations

import time

from gateway.base import clock, json, locks
from gateway.base.signals import SignalsBlocked
from gateway.errors import Busy, CannotCreate, Dropped, EncError
from gateway.identity.names import Principal
from gateway.limits.disk import usage
from gateway.sandbox.host import require_host
from gateway.vault import lease, lifecycle, rekey, store
from gateway.vault.lease import LeaseHolder
from gateway.vault.rekey import State
from gateway.vault.slots import invitation
from gateway.vault.slots.change import Opened
from gateway.vault.slots.stored import Kind, Slot
from rshell.commands import mount
from rshell.context import Context, required
from rshell.language.command import Command
from rshell.session import invited, new_secrets, rekeying, slot_changes, unlocking, watched
from rshell.terminal import output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.vault.store import Vault

    Codes = list[tuple[Slot, bytes]]

_COUNT_SECONDS = 20.0
_ROOM = 1 << 20
"""Bytes that a copy may need besides what its source has: for slots, and where a disk lays it out differently."""
_SLOTS_SECONDS = 10.0
_WARNING = (
    "the old vault is in the trash until you empty it, and in backups; there, and in copies, the old key opens it"
)


def run(context: Context, command: Command) -> int:
    """Ask for a secret that opens the project, copy, compare, exchange; or continue what was interrupted.

    It holds the lease of both vaults all the time. Raises Busy, CannotCreate, and as `fsck`.
    """
    vault = mount.reach(context, required(command.project))
    slots = check(context, command)
    holder = context.lease_holder(lease.REKEY)
    if "--discard" in command.flags:
        return _discard(context, command, vault, holder)
    require_host()
    leases = [lease.acquire(vault, holder)]
    try:
        if rekey.state(vault) is State.EXCHANGED:
            leases.append(lease.acquire(rekey.beside(vault), holder))
            with SignalsBlocked():
                return _end(context, command, {"project": vault.name, "rekeyed": True, "continued": True}, [])
        return _Rekeying(context, command, vault, holder, leases).run(slots)
    finally:
        for fd in leases:
            lease.release(fd, is_shared=True)


def check(context: Context, command: Command) -> tuple[Slot, ...]:
    """The slots that the caller can unlock with. Raises what can be found before a secret is asked for."""
    slots, vault = mount.check_locked(context, command), context.vault(command.project)
    if "--discard" not in command.flags and rekey.state(vault) is not State.EXCHANGED:
        if not any(_is_allowed(context, slot.kind) for slot in slots):
            new_secrets.require_allowed(context, slots[0].kind)
        _require_room(context, vault)
    return slots


def _is_allowed(context: Context, kind: Kind) -> bool:
    return kind.value in context.config.unlock_kinds


def _require_room(context: Context, vault: Vault) -> None:
    """For a copy of the vault beside it, of which an interrupted rekey may have made a part."""
    needed = usage.size(vault.cipher, _COUNT_SECONDS)[0] + _ROOM
    if rekey.state(vault) is not State.NOTHING:
        needed -= usage.size(rekey.beside(vault).cipher, _COUNT_SECONDS)[0]
    usage.require_room(context.vaults_home, context.config.limits_disk, needed, f"rekeying {vault.name}")


def _discard(context: Context, command: Command, vault: Vault, holder: LeaseHolder) -> int:
    held = lease.acquire(vault, holder)
    try:
        found = rekey.state(vault)
        if found in (State.DRAFT, State.STALE):
            rekey.discard(rekey.beside(vault), holder)
            context.audit.write("rekey-stopped", project=vault.name, reason="discarded")
        elif found is not State.NOTHING:
            raise CannotCreate(f"{vault.name} is rekeyed already; what is left is the old one", f"`rekey {vault.name}`")
    finally:
        lease.release(held)
    words = f"no rekey of {vault.name} is under way" + (": the draft is removed" if found is not State.NOTHING else "")
    output.result({"project": vault.name, "discarded": found is not State.NOTHING}, words, command.wants_json)
    return 0


class _Rekeying:
    """One call, which has the lease of `vault`. Those that it takes are added to `leases`."""

    def __init__(
        self, context: Context, command: Command, vault: Vault, holder: LeaseHolder, leases: list[int]
    ) -> None:
        self._context, self._command, self._vault = context, command, vault
        self._holder, self._leases = holder, leases
        self._require_key = context.key_checker()
        self._audit = context.audit
        self._began = time.time()
        self._is_exchanged = False

    def run(self, slots: tuple[Slot, ...]) -> int:
        """Raises EncError. What is begun is recorded, and how it ended."""
        vault, check = self._vault, self._require_key
        given = unlocking.ask(vault, slots, check, or_code=True)
        self._context.require_key()
        opened = unlocking.prove(self._context, vault, slots, given, check)
        new_secrets.require_allowed(self._context, opened.slot.kind)
        way = rekeying.way_along(self._context, vault, opened, check)
        slot_changes.require_still(self._context)
        found = rekeying.continued(vault, way[0], way[1])
        about = {"with_slot": opened.slot.name, "kind": opened.slot.kind.value, "continued": found is not None}
        self._audit.write("rekey-begun", project=vault.name, **about)
        try:
            new = found or rekeying.begin(self._context, vault, *way, self._holder)
            if found:
                output.note(f"continuing the rekey of {vault.name} that was interrupted")
            self._leases.append(lease.acquire(rekey.beside(vault), self._holder))
            rekey.note_use(rekey.beside(vault))
            count = rekeying.Copy(vault, self._command.wants_json).run(opened, new, self._leases, self._still)
            with SignalsBlocked():
                return self._exchange(opened, new, count, found is not None)
        except EncError as error:
            if not self._is_exchanged:  # a signal that came meanwhile stops nothing
                self._audit.best_effort().write("rekey-stopped", project=vault.name, reason=error.slug)
            raise

    def _still(self) -> None:
        """A sysadmin may have revoked the key, ended it, or paused the gateway. What was copied stays."""
        from gateway.session import maintenance

        self._require_key()
        maintenance.require_not_ended(self._context.config.paths_run, self._context.caller.principal, self._began)
        self._context.require_running()

    def _exchange(self, opened: Opened, new: Opened, count: int, was_continued: bool) -> int:
        """The codes come first: whatever happens between them and the exchange, who has them or not has a way in."""
        context, vault = self._context, self._vault
        self._context.require_key()
        self._still()
        try:
            with locks.DirectoryLock(vault.path, wait=False):  # nobody changes the old slots any more
                current = store.check(vault)
                if opened.slot not in current:
                    raise Busy(
                        f"the way to unlock {vault.name} that you used was changed meanwhile",
                        "nothing was changed; rekey it again",
                    )
                codes = self._codes(opened, current)
                made = rekey.set_slots(rekey.beside(vault), new, codes)
                self._print(list(zip(made, (code for _, code in codes), strict=True)))
                self._take_place()
        except BlockingIOError as error:
            raise Busy(
                f"the ways to unlock {vault.name} are being changed", "nothing was changed; try again"
            ) from error
        except OSError as error:
            hint = f"nothing was changed, and codes that were shown are void; `rekey {vault.name}` continues"
            raise CannotCreate(f"the new {vault.name} could not take its place: {error.strerror}", hint) from error
        renewed = {slot.kind for slot in made}
        mine = _mine(context, current)
        dropped = [slot for slot in mine if slot != opened.slot and slot.kind not in renewed]
        kinds = sorted({slot.kind.value for slot in (new.slot, *made)})
        invitations = [slot for slot in made if slot.kind is Kind.INVITATION]
        for slot in invitations:
            invited.link(context, vault, slot)
        fields = {"project": vault.name, "kinds": kinds, "dropped": len(dropped), "invited": len(invitations)}
        self._audit.best_effort().write("rekeyed", with_slot=opened.slot.name, **fields)
        result: dict[str, object] = {
            "project": vault.name,
            "rekeyed": True,
            "continued": was_continued,
            "files": count,
            "kinds": kinds,
            "dropped": [new_secrets.fields(slot) for slot in dropped],
            "invited": [str(slot.principal) for slot in invitations],
        }
        return _end(context, self._command, result, dropped)

    def _take_place(self) -> None:
        """Raises OSError if it was not exchanged."""
        try:
            rekey.exchange(self._vault)
        except OSError:  # after the exchange, it is that the disk could not say that it is on it
            if rekey.state(self._vault) is not State.EXCHANGED:
                raise
        self._is_exchanged = True

    def _codes(self, opened: Opened, current: tuple[Slot, ...]) -> Codes:
        """A recovery code, if there was one, or a lost key would be a lost project that it was not before; and an
        invitation for each other member.
        """
        context, found = self._context, list[tuple[Slot, bytes]]()
        mine = {slot.kind for slot in _mine(context, current)}
        by_key_alone = opened.slot.kind is Kind.SSH_KEY and mine != {Kind.SSH_KEY}
        wants = Kind.RECOVERY in mine or by_key_alone or context.config.unlock_recovery == "required"
        if wants and opened.slot.kind is not Kind.RECOVERY and _is_allowed(context, Kind.RECOVERY):
            found.append(new_secrets.recovery(context))
        expires = clock.utc(time.time() + invitation.DAYS * 86400)
        for slot in _members(context, current):
            found.append(invitation.new(Principal(slot.principal), slot.role, expires, context.caller.fingerprint))
        return found

    def _print(self, codes: Codes) -> None:
        """Show each code, once. Raises Dropped if nobody is there to see it."""
        if self._command.wants_json and codes:
            listed = [_code_fields(slot, code) for slot, code in codes]
            output.write(1, json.dumps({"event": "codes", "project": self._vault.name, "codes": listed}) + "\n")
        elif codes:
            output.write(
                1, "\n\n".join(_code_words(self._context, self._vault, slot, code) for slot, code in codes) + "\n\n"
            )
        if watched.is_gone():
            raise Dropped("the connection ended before the rekeying did")


def _mine(context: Context, slots: tuple[Slot, ...]) -> tuple[Slot, ...]:
    owner = context.caller.principal
    return tuple(slot for slot in slots if slot.is_of(owner, owner) and slot.kind is not Kind.INVITATION)


def _members(context: Context, slots: tuple[Slot, ...]) -> list[Slot]:
    """A slot of each other principal: one that is no invitation, if they have one. What has expired is over."""
    owner = context.caller.principal
    theirs = [slot for slot in slots if not slot.is_of(owner, owner) and not invitation.has_expired(slot)]
    theirs.sort(key=lambda slot: slot.kind is not Kind.INVITATION)
    return sorted({slot.principal: slot for slot in theirs}.values(), key=lambda slot: slot.principal)


def _code_fields(slot: Slot, code: bytes) -> dict[str, object]:
    about: dict[str, object] = {"slot": slot.name, "kind": slot.kind.value, "code": code.decode()}
    if slot.kind is Kind.INVITATION:
        about |= {"principal": slot.principal, "role": slot.role.value, "expires": slot.expires}
    return about


def _code_words(context: Context, vault: Vault, slot: Slot, code: bytes) -> str:
    return new_secrets.print_code(code) if slot.kind is Kind.RECOVERY else invited.words(context, vault, slot, code)


def _end(context: Context, command: Command, result: dict[str, object], dropped: list[Slot]) -> int:
    """Move the old vault, which is beside the new one, to the trash, and report. Signals are blocked."""
    project = required(command.project)
    vault = context.vault(project)
    try:
        lifecycle.into_trash(context.vaults_home, rekey.beside(vault))
    except OSError as error:
        output.note(f"the old vault of {project} stays beside it until the next sweep: {error.strerror}")
    words = [f"rekeyed {project}"]
    if "files" not in result:
        context.audit.best_effort().write("rekeyed", project=project, continued=True)
        words[0] = f"{project} was rekeyed already by a call that was interrupted; this one has finished it"
    words += [f"not carried over: {new_secrets.named(slot)}" for slot in dropped]
    words += [f"`slot add {project} KIND` adds them again"] if dropped else []
    output.result(result, "\n".join((*words, _WARNING)), command.wants_json)
    return 0
