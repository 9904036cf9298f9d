"""How a caller opens a project: by a passphrase, or by an SSH signature of its challenge."""

from __future__ import annotations

import os

from gateway.base.clock import boottime
from gateway.errors import Busy, Usage, WrongSecret
from gateway.limits import backoff
from gateway.vault import store
from gateway.vault.slots.change import Opened
from gateway.vault.slots.stored import Kind, Role, Slot
from rshell.context import Context
from rshell.session import spelling
from rshell.terminal import output, questions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.base.records import Fd
    from gateway.identity.names import Named, Principal
    from gateway.vault.store import Vault

_SIGNATURE = b"-----BEGIN "
_WAITED = 0.05
"""Seconds. A shorter wait is none: it is told to a tenth."""


def own(vault: Vault, slots: tuple[Slot, ...], caller: Principal, owner: Principal) -> tuple[Slot, ...]:
    """Those of `slots` that `caller` can unlock a vault of `owner` with. Who has none in somebody else's hears what
    they would hear if it did not exist: NoSuchProject. Raises Usage for one who is invited only.
    """
    theirs = tuple(slot for slot in slots if slot.is_of(caller, owner))
    if caller != owner and not theirs:
        raise store.no_such_project(vault.name)
    found = tuple(slot for slot in theirs if slot.kind is not Kind.INVITATION)
    if caller != owner and not found:
        raise Usage(f"you are invited to {vault.name}, and have no way to unlock it yet", f"`accept {vault.name}`")
    return found


def mine(context: Context, vault: Vault) -> tuple[Slot, ...]:
    """The slots that the caller can unlock the vault with. Raises DamagedVault, and what `own` raises."""
    return own(vault, store.check(vault), context.caller.principal, context.owner_of(vault.name))


def require_role(context: Context, vault: Vault, role: Role) -> None:
    """Raise Busy for a member whose role is another by now, and what `mine` raises."""
    if all(slot.role is not role for slot in mine(context, vault)):
        raise Busy(f"what you may do in {vault.name} was changed meanwhile", "try again")


def of_kind(slots: tuple[Slot, ...], kind: Kind) -> tuple[Slot, ...]:
    return tuple(slot for slot in slots if slot.kind is kind)


def ask(vault: Vault, slots: tuple[Slot, ...], check: Callable[[], None], or_code: bool = False) -> bytes:
    """Read a passphrase or a signature; with `or_code` it may be a recovery code. Raises Usage before it asks somebody
    at a terminal who has nothing that can be typed.
    """
    code = or_code and bool(of_kind(slots, Kind.RECOVERY))
    phrase = bool(of_kind(slots, Kind.PASSPHRASE))
    if os.isatty(0) and not (phrase or code):
        hint = "the client enc signs with your key; `help challenge` has the commands for stock tools"
        raise Usage(f"{vault.name} has no passphrase: it is unlocked by an SSH key", hint)
    what = "Passphrase or recovery code" if phrase and code else "Recovery code" if code else "Passphrase"
    return questions.secret_or_signature(f"{what} of {vault.name}: ", check)


def begin(
    context: Context, vault: Vault, slots: tuple[Slot, ...], given: bytes, check: Callable[[], None]
) -> tuple[Opened, Fd]:
    """The slot and the secret for what the caller gave, and the attempt (gateway.limits.backoff), which ends with the
    unlocking: a passphrase is not tried yet, unless there are several candidates. A signature is verified.

    Raises WrongSecret, Usage.
    """
    if given.startswith(_SIGNATURE):
        opened = by_signature(context, vault, slots, given)
        return opened, begin_attempt(context, vault.name, check)
    phrases = _require_passphrase(vault, slots, given)
    attempt = begin_attempt(context, vault.name, check)
    return spelling.choose(vault, phrases, given, attempt), attempt


def prove(context: Context, vault: Vault, slots: tuple[Slot, ...], given: bytes, check: Callable[[], None]) -> Opened:
    """The slot that what the caller gave opens, which was tried: a passphrase, a signature, or a recovery code. Raises
    WrongSecret, Usage.
    """
    tries = _candidates(context, vault, slots, given)
    attempt = begin_attempt(context, vault.name, check)
    right: bool | None = None
    try:
        found = next((one for one in tries if spelling.opens(vault, one)), None)
        right = found is not None
        if found:
            return found
    finally:
        backoff.end_attempt(attempt, vault.name, right)
    from gateway.vault import gocryptfs

    raise gocryptfs.wrong_secret(tries[0].slot.kind.value)


def _candidates(context: Context, vault: Vault, slots: tuple[Slot, ...], given: bytes) -> list[Opened]:
    """What may open it, at least one. Raises WrongSecret, Usage."""
    from gateway.vault.slots import recovery_code

    if given.startswith(_SIGNATURE):
        return [by_signature(context, vault, slots, given)]
    codes = (*of_kind(slots, Kind.RECOVERY), *of_kind(slots, Kind.INVITATION))
    if codes and recovery_code.looks_like_one(given):
        code = recovery_code.canonical(given).encode()
        return [Opened(slot=slot, secret=code) for slot in codes]
    return spelling.tries(_require_passphrase(vault, slots, given), given)


def _require_passphrase(vault: Vault, slots: tuple[Slot, ...], given: bytes) -> tuple[Slot, ...]:
    from gateway.vault.slots import recovery_code

    if of_kind(slots, Kind.RECOVERY) and recovery_code.looks_like_one(given):
        raise Usage("that is a recovery code", f"`recover {vault.name}` sets a new passphrase with it")
    phrases = of_kind(slots, Kind.PASSPHRASE)
    if not phrases:
        raise Usage(f"{vault.name} has no passphrase", f"`slots {vault.name}` lists the ways to unlock it")
    return phrases


def by_signature(context: Context, vault: Vault, slots: tuple[Slot, ...], armoured: bytes) -> Opened:
    """The slot of the key that signed, and its secret. The signature was verified. Raises WrongSecret, Usage."""
    from gateway.vault import realm as realms
    from gateway.vault.slots import challenge, sshsig

    signature = sshsig.parse(armoured)
    slot = next((one for one in of_kind(slots, Kind.SSH_KEY) if one.public_key == signature.public_key), None)
    if slot is None:
        hint = f"`slots {vault.name}` lists the keys that do; `slot add {vault.name} key` adds one"
        raise WrongSecret(f"the key {signature.fingerprint} does not unlock {vault.name}", hint)
    realm = realms.of(context.config.paths_vaults)
    if slot.realm != realm:
        hint = "unlock it in another way, and add the key again"
        raise WrongSecret(f"{slot.name} of {vault.name} was made in another realm, that is on another gateway", hint)
    if signature.namespace != realms.namespace(realm):
        raise WrongSecret(
            "the signature is not for this gateway", f"sign for the namespace {realms.namespace(realm)}: -n"
        )
    asked = challenge.of(slot, store.identity(vault))
    if not sshsig.is_of(signature, asked.text.encode(), signature.namespace):
        hint = f"sign what `challenge {vault.name}` prints, as it is"
        raise WrongSecret(f"the signature is not of the challenge of {slot.name} of {vault.name}", hint)
    return Opened(slot=slot, secret=challenge.secret(asked, signature.raw, slot.public_key))


def begin_attempt(context: Context, project: Named, check: Callable[[], None]) -> Fd:
    """Wait as long as the principal's earlier wrong passphrases for the project cost. `check` is called twice a second;
    what it raises ends the wait, and the attempt.
    """
    began = boottime()
    attempt = backoff.begin_attempt(context.shared_state(), context.caller.principal, check)
    try:
        seconds = backoff.delay(attempt, project, context.config.passphrase_wait_max)
        if seconds >= _WAITED:
            output.note(f"waiting {seconds:.1f} s after wrong passphrases")
            backoff.wait(seconds, check)
        if boottime() - began >= _WAITED:  # `check` is sure of a key that is gone after a second only
            context.require_key()
    except BaseException:  # Ctrl-C at the prompt: the lock would keep everybody of the principal from unlocking
        os.close(attempt)
        raise
    return attempt
