"""Rekey for a caller who has proven a secret: the draft that is begun or continued, and the copy in a sandbox."""

from __future__ import annotations

import os

from gateway.base import json, rlimits, text
from gateway.errors import CannotCreate, DamagedVault, EncError, Internal, Unread, Usage
from gateway.sandbox.fsck import rekey_argv
from gateway.vault import gocryptfs, lifecycle, rekey, store
from gateway.vault import realm as realms
from gateway.vault.inside import rekeying as inside
from gateway.vault.rekey import State
from gateway.vault.slots import challenge
from gateway.vault.slots.change import Opened
from gateway.vault.slots.stored import Kind, Slot
from gateway.vault.store import Vault
from rshell.context import Context
from rshell.session import new_secrets, spelling, watched
from rshell.terminal import output, questions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.vault.lease import LeaseHolder
    from gateway.vault.slots.challenge import Challenge

_FULL = (28, 122)
"""ENOSPC and EDQUOT."""
_UNCHANGED = "nothing was changed"


def challenge_of_draft(context: Context, vault: Vault) -> Challenge:
    """What an SSH key signs to come along: for the slot of the draft that there is, else for a new one. Raises
    Misconfigured, DamagedVault.
    """
    if rekey.state(vault) is State.DRAFT:
        draft = rekey.beside(vault)
        for slot in store.check(draft):
            if slot.kind is Kind.SSH_KEY:
                return challenge.of(slot, store.identity(draft))
    return challenge.new(realms.of(context.config.paths_vaults), lifecycle.new_id())


def way_along(context: Context, vault: Vault, opened: Opened, check: Callable[[], None]) -> tuple[Slot, bytes, str]:
    """The slot of the new vault for the way that opened the old one, its secret, and the new vault's id: the same
    passphrase or recovery code, or the same key, with two signatures that the caller hands in. Raises Usage.
    """
    if opened.slot.kind is not Kind.SSH_KEY:
        label = opened.slot.label
        return new_secrets.slot(context, opened.slot.kind, label), opened.secret, lifecycle.new_id()
    made, secret, vault_id = new_secrets.key(context, "", (), check, challenge_of_draft(context, vault))
    if made.public_key != opened.slot.public_key:
        raise Usage("the new challenge was signed by another key than the one that unlocked it", _UNCHANGED)
    if vault_id == store.identity(vault):
        hint = f"`challenge {vault.name} --rekey` prints the one to sign; {_UNCHANGED}"
        raise Usage("that is a challenge for the project as it is", hint)
    return made.replace(label=opened.slot.label), secret, vault_id


def continued(vault: Vault, new: Slot, secret: bytes) -> Opened | None:
    """The slot of the draft, if there is a draft of `vault` that `secret` opens by a slot like `new`."""
    if rekey.state(vault) is not State.DRAFT:
        return None
    draft = rekey.beside(vault)
    try:
        for slot in store.check(draft):
            alike = (slot.id, slot.public_key) == (new.id, new.public_key) or new.kind is not Kind.SSH_KEY
            found = Opened(slot=slot, secret=secret)
            if slot.kind is new.kind and alike and spelling.opens(draft, found):
                return found
    except EncError:  # it is damaged, and goes
        return None
    return None


def begin(context: Context, vault: Vault, new: Slot, secret: bytes, vault_id: str, holder: LeaseHolder) -> Opened:
    """Make a new draft, in the place of one that cannot be continued. Raises EncError."""
    draft = rekey.beside(vault)
    if (found := rekey.state(vault)) is not State.NOTHING:
        output.note(f"what an earlier rekey of {vault.name} left cannot be continued with this: starting again")
        (rekey.discard if found in (State.DRAFT, State.STALE) else rekey.to_trash)(draft, holder)
    pipe = questions.pipe(secret)
    try:
        rekey.begin(vault, context.caller.fingerprint, pipe, new, vault_id, context.config.passphrase_cost)
    finally:
        os.close(pipe)
    return Opened(slot=store.check(draft)[0], secret=secret)


class Copy:
    """The copy of `vault` into its draft, and what is told of it."""

    def __init__(self, vault: Vault, as_json: bool) -> None:
        self._vault, self._as_json = vault, as_json
        self._at_terminal = os.isatty(2) and not as_json
        self._last: dict[str, object] = {}
        self._rest = b""

    def run(self, opened: Opened, new: Opened, leases: list[int], check: Callable[[], None]) -> int:
        """Copy and compare; the number of files and directories. Whatever is in the sandbox has the `leases` as well,
        so that nobody else is at either vault before it has ended. Raises EncError.
        """
        draft = rekey.beside(self._vault)
        passed: list[int] = []
        reader, writer = os.pipe2(os.O_CLOEXEC)
        try:
            passed += [store.open_config(self._vault, opened.slot.name), questions.pipe(opened.secret)]
            passed += [store.open_config(draft, new.slot.name)]
            passed += [questions.pipe(new.secret) for _ in range(inside.SECRETS)]
            argv = rekey_argv(self._vault.path, draft.path, passed)
            with rlimits.Lifted():
                sandbox = watched.Sandbox(argv, {1: writer}, [*passed, *leases], mounts=True)
            os.close(writer)
            writer = -1
            status = sandbox.wait(check, "the rekeying", (reader, self._tell))
        finally:
            for fd in (*passed, reader, *([writer] if writer >= 0 else [])):
                os.close(fd)
            if self._at_terminal and self._last:
                output.write(2, "\n")
        if status or not self._last.get("done"):
            raise self._failure(new)
        return int(str(self._last["files"]))

    def _tell(self, content: bytes) -> None:
        *lines, self._rest = (self._rest + content).split(b"\n")
        for line in lines:
            self._last = json.loads(line)
            if phase := self._last.get("phase"):
                self._show(str(phase), self._last)

    def _show(self, phase: str, said: dict[str, object]) -> None:
        if phase == "counting":
            return
        if self._as_json:
            output.write(2, json.dumps({"event": "progress", "project": self._vault.name, **said}) + "\n")
            return
        words = f"{phase} {self._vault.name}: {said['files']} of {said['of']} files"
        words += f", {text.human_size(int(str(said['bytes'])))}"
        output.write(2, f"\r\x1b[K{words}" if self._at_terminal else f"{words}\n")

    def _failure(self, new: Opened) -> EncError:
        """The error in what the sandbox said last."""
        said, name = self._last, self._vault.name
        again = f"`rekey {name}` continues; {_UNCHANGED}"
        if said.get("errno") in _FULL:
            return CannotCreate(f"no space is left on the gateway's disk to rekey {name}", again)
        if "errno" in said:
            reason = f"{said.get('path') or name}: {said.get('error')}"
            return Unread(f"a part of {name} could not be copied: {reason}", f"`fsck {name}` says more; {_UNCHANGED}")
        if "unnamed" in said:
            reason = f"{said['unnamed']} files of {name} cannot be listed, so they would be lost"
            return DamagedVault(reason, f"`fsck {name}` mends that or says more; {_UNCHANGED}")
        if "differing" in said:
            paths = said["paths"]
            listed = ", ".join(map(str, paths)) if isinstance(paths, list) else ""
            return Internal(f"{said['differing']} files of {name} differ from their copies: {listed}", again)
        if type(status := said.get("gocryptfs")) is int:
            return gocryptfs.failure(status, new.slot.kind.value)
        return Internal(f"the copy of {name} ended before it was done", again)
