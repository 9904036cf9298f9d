"""Which spelling of a passphrase opens a project: one that was made before there was a rule has it as it was given."""

from __future__ import annotations

import os

from gateway.base.records import Fd
from gateway.errors import Usage, WrongSecret
from gateway.limits import backoff
from gateway.vault import gocryptfs, store
from gateway.vault.slots.change import Opened
from gateway.vault.slots.stored import Slot
from gateway.vault.store import Vault
from rshell.terminal import passphrases, questions


def choose(vault: Vault, slots: tuple[Slot, ...], line: bytes, attempt: Fd) -> Opened:
    """The slot to unlock, one of `slots`, and the passphrase, for the line that the caller gave.

    Nothing is tried unless there is more than one slot or spelling: that costs one scrypt for each but the last, whose
    trial is the unlocking itself. All of them are one attempt of the caller, the one of `attempt`
    (gateway.limits.backoff). Raises Usage for a line with control characters that does not open the project; that
    counts as a wrong one, and `attempt` is closed, as it is when something else is raised.
    """
    right: bool | None = None
    try:
        left = tries(slots, line)
        last = left.pop() if _is_plain(line) else None
        for one in left:
            if opens(vault, one):
                return one
        if last:
            return last  # tried by the unlocking
        right = False
        passphrases.canonical(line)
        raise WrongSecret("wrong passphrase")
    except BaseException:
        backoff.end_attempt(attempt, vault.name, right)
        raise


def tries(slots: tuple[Slot, ...], line: bytes) -> list[Opened]:
    """What `line` may mean, the likeliest first."""
    return [Opened(slot=slot, secret=spelled) for spelled in passphrases.spellings(line) for slot in slots]


def _is_plain(line: bytes) -> bool:
    try:
        passphrases.canonical(line)
    except Usage:
        return False
    return True


def opens(vault: Vault, opened: Opened) -> bool:
    """Whether gocryptfs takes the secret, or has another trouble, which the unlocking tells."""
    passed: list[int] = []
    try:
        passed += [store.open_config(vault, opened.slot.name), questions.pipe(opened.secret)]
        status = gocryptfs.try_secret(vault.cipher, *passed)
        return not isinstance(gocryptfs.failure(status), WrongSecret)
    finally:
        for fd in passed:
            os.close(fd)
