"""Which spelling of a passphrase opens a project: one that was made before there was a rule has it as it was given."""

from __future__ import annotations

import os

from gateway.base import process
from gateway.base.records import Fd
from gateway.errors import Usage, WrongSecret
from gateway.limits import backoff
from gateway.vault import gocryptfs, store
from gateway.vault.slots import Slot
from gateway.vault.store import Vault
from rshell.terminal import passphrases, questions

_NO_FUSE = "/dev/null"


def choose(vault: Vault, slot: Slot, line: bytes, attempt: Fd) -> bytes:
    """The passphrase to unlock `slot` with, for the line that the caller gave.

    Nothing is tried unless there is more than one spelling: that costs one scrypt for each but the last, whose trial is
    the unlocking itself. All of them are one attempt of the caller, the one of `attempt` (gateway.limits.backoff).
    Raises Usage for a line with control characters that does not open the project; that counts as a wrong one, and
    `attempt` is closed, as it is when something else is raised.
    """
    right: bool | None = None
    try:
        spellings = passphrases.spellings(line)
        try:
            passphrases.canonical(line)
            last = len(spellings) - 1  # tried by the unlocking
        except Usage:
            last = len(spellings)
        for number, spelling in enumerate(spellings):
            if number == last or _opens(vault, slot, spelling):
                return spelling
        right = False
        passphrases.canonical(line)
        return line
    except BaseException:
        backoff.end_attempt(attempt, vault.name, right)
        raise


def _opens(vault: Vault, slot: Slot, secret: bytes) -> bool:
    """gocryptfs itself tries the passphrase, as for a mount. In the place of FUSE it gets /dev/null, so it ends."""
    null = os.open(_NO_FUSE, os.O_RDWR | os.O_CLOEXEC)
    passed = [null]
    try:
        passed += [store.open_config(vault, slot.name), questions.pipe(secret)]
        status, _ = process.run(gocryptfs.mount_argv(vault.cipher, passed[1], passed[2], null), passed)
        return not isinstance(gocryptfs.failure(status), WrongSecret)
    finally:
        for fd in passed:
            os.close(fd)
