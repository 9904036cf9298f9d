"""New ways to unlock: what the caller chooses or hands in, and the slot for it."""

from __future__ import annotations

import os

from gateway.base.clock import utc_now
from gateway.errors import Denied, Usage
from gateway.vault.slots import change
from gateway.vault.slots.stored import Kind, Slot
from rshell.context import Context
from rshell.session import unlocking
from rshell.terminal import output, passphrases, questions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.vault.slots.challenge import Challenge

_MOST = {Kind.PASSPHRASE: 4, Kind.SSH_KEY: 16, Kind.RECOVERY: 4}
"""Of each kind for one person. Each passphrase more makes a wrong one cost a second's work more."""
_KINDS = {"passphrase": Kind.PASSPHRASE, "key": Kind.SSH_KEY, "recovery": Kind.RECOVERY}


def kind_of(word: str, *allowed: str) -> Kind:
    """The kind that a person calls `word`, one of `allowed`. Raises Usage."""
    if word not in allowed:
        raise Usage(f"KIND is {' or '.join(allowed)}", "`help slot` explains them")
    return _KINDS[word]


def require_allowed(context: Context, kind: Kind) -> None:
    """Raise Denied if `unlock.kinds` does not have it."""
    if kind.value not in context.config.unlock_kinds:
        raise Denied(f"your sysadmin does not allow to add a {kind.value} here", "see unlock.kinds of gateway.toml")


def require_room(slots: tuple[Slot, ...], kind: Kind) -> None:
    """Raise Usage if the caller, whose `slots` they are, has as many of that kind as anybody may have."""
    if len(unlocking.of_kind(slots, kind)) >= _MOST[kind]:
        raise Usage(f"you have {_MOST[kind]} of that kind already, which is the most", "remove one with `slot rm`")


def slot(context: Context, kind: Kind, label: str = "") -> Slot:
    """A new slot of the caller's. It belongs to the vault's owner as long as no principal is named."""
    return Slot(
        name=change.first_name(kind),
        kind=kind,
        label=label,
        created=utc_now(),
        fingerprint=context.caller.fingerprint,
        id=os.urandom(8).hex(),
    )


def passphrase(minimum: int, check: Callable[[], None], more: str = "") -> bytes:
    """A new passphrase, twice at a terminal; `more` is said besides how long it must be. Raises Usage for one that is
    too short.
    """
    output.note(f"The passphrase needs at least {minimum} characters.{more}")
    chosen = passphrases.canonical(questions.secret("New passphrase: ", check))
    if len(chosen.decode()) < minimum:
        hint = "use a longer one, or --allow-weak" if minimum > 1 else ""
        raise Usage(f"the passphrase has fewer than {minimum} characters", hint)
    if os.isatty(0) and passphrases.canonical(questions.secret("New passphrase again: ", check)) != chosen:
        raise Usage("the two passphrases differ", "nothing was changed")
    return chosen


def recovery(context: Context) -> tuple[Slot, bytes]:
    """A slot for a new recovery code, and the code."""
    from gateway.vault.slots import recovery_code

    return slot(context, Kind.RECOVERY), recovery_code.new().encode()


def key(
    context: Context,
    vault_id: str,
    slots: tuple[Slot, ...],
    check: Callable[[], None],
    shown: Challenge | None = None,
) -> tuple[Slot, bytes, str]:
    """A slot for the key of two signatures that the caller hands in, its secret, and the id of the vault.

    Standard input has the challenge that was signed, then both signatures; at a terminal the challenge is `shown`, by
    default a new one.
    `vault_id` is "" for a vault that does not exist yet: its id is that of the challenge. Raises Usage.
    """
    from gateway.vault import lifecycle
    from gateway.vault import realm as realms
    from gateway.vault.slots import challenge, sshsig

    realm = realms.of(context.config.paths_vaults)
    namespace = realms.namespace(realm)
    if os.isatty(0):
        asked = shown or challenge.new(realm, vault_id or lifecycle.new_id())
        output.note(f"Sign these {challenge.LINES} lines twice on your machine:\n")
        output.note(f"ssh-keygen -Y sign -q -n {namespace} -f ~/.ssh/id_ed25519 <<'END'\n{asked.text}END\n")
    else:
        output.note("reading a challenge and two signatures of it from standard input")  # the client waits for it
        asked = challenge.parse(questions.lines(challenge.LINES, check))
    if asked.realm != realm or asked.vault != (vault_id or asked.vault):
        raise Usage("that is the challenge of another project or gateway", "`challenge PROJECT --new` prints one")
    signatures = [sshsig.parse(questions.signature(f"{which} signature: ", check)) for which in ("First", "Second")]
    first, second = signatures
    if first.public_key != second.public_key:
        raise Usage("the two signatures are by two keys", "sign twice with the same key")
    for each in signatures:
        if each.namespace != namespace:
            raise Usage("the signature is not for this gateway", f"sign for the namespace {namespace}: -n")
    if not all(sshsig.is_of(each, asked.text.encode(), namespace) for each in dict.fromkeys(signatures)):
        raise Usage("the signature is not of that challenge", "sign the lines as they are")
    if first.raw != second.raw:
        reason = "your key or agent signs differently each time, so it cannot unlock"
        raise Usage(reason, "use another agent or the key file, or a passphrase; nothing was changed")
    if any(each.public_key == first.public_key for each in slots) or any(each.id == asked.slot for each in slots):
        raise Usage(f"the key {first.fingerprint} unlocks it already", "nothing was changed")
    label = context.label if first.public_key == context.caller.blob else ""
    made = slot(context, Kind.SSH_KEY, label)
    made = made.replace(id=asked.slot, salt=asked.salt, public_key=first.public_key, realm=realm)
    return made, challenge.secret(asked, first.raw, first.public_key), asked.vault


def fields(made: Slot) -> dict[str, object]:
    """The audit fields of a slot that was changed."""
    about: dict[str, object] = {"slot": made.name, "kind": made.kind.value}
    if made.public_key:
        from gateway.identity.authorized_keys import fingerprint

        about["key"] = fingerprint(made.public_key)
    return about


def named(slot: Slot) -> str:
    """A slot in words, and its key if it has one."""
    if not slot.public_key:
        return slot.name
    from gateway.identity.authorized_keys import fingerprint

    return f"{slot.name} ({fingerprint(slot.public_key)})"


RECOVERY_WORDS = """\
The recovery code, which is shown once:

    {code}

Write it down and keep it away from your machine. Whoever has it and can log in as you opens the project."""


def print_code(code: bytes) -> str:
    """The words for a person who gets a code."""
    return RECOVERY_WORDS.format(code=code.decode())


def require_way_back(slots: tuple[Slot, ...], context: Context, flags: frozenset[str]) -> None:
    """Raise Usage for slots that a lost key would make useless, unless --no-recovery was given; and Denied when the
    sysadmin requires a recovery code.
    """
    kinds = {each.kind for each in slots}
    if context.config.unlock_recovery == "required" and Kind.RECOVERY not in kinds:
        raise Denied("your sysadmin requires a recovery code here", "see unlock.recovery of gateway.toml")
    if kinds == {Kind.SSH_KEY} and "--no-recovery" not in flags:
        raise Usage(
            "without a passphrase or a recovery code, a lost key is a lost project",
            "add --recovery (or `slot add PROJECT recovery`), or accept that with --no-recovery",
        )
