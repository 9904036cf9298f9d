"""Check a project with `gocryptfs -fsck`, in a sandbox of its own. It needs the passphrase."""

from __future__ import annotations

import os
import select
import signal

from gateway.base import process
from gateway.base.clock import utc_now
from gateway.errors import DamagedVault, Denied, Dropped, WrongSecret
from gateway.limits import backoff
from gateway.sandbox import paths
from gateway.sandbox.fsck import check_argv
from gateway.sandbox.host import require_host
from gateway.vault import gocryptfs, lease, slots, store
from gateway.vault.lease import LeaseHolder
from gateway.vault.store import Vault
from rshell.commands import mount
from rshell.context import Context, required
from rshell.language.command import Command
from rshell.terminal import output, questions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_KEY_CHECK_MS = 500
_LARGEST = 256 * 1024
"""Bytes of gocryptfs's output that are passed on. The list of a vault with much damage is cut."""


def run(context: Context, command: Command) -> int:
    """Ask for the passphrase and check. Prints the names of damaged files, to the caller alone.

    Raises DamagedVault if there are any, and as `mount`. It holds the vault's lock, so nobody can unlock it meanwhile.
    """
    store.restore_access(context.vault(command.project))
    slot = check(context, command)
    require_host()
    project = required(command.project)
    vault = context.vault(project)
    holder = LeaseHolder(session="fsck", since=utc_now(), address=context.caller.address)
    held = lease.acquire(vault, holder)
    try:
        require_key = context.key_checker()
        secret = questions.pipe(questions.secret(f"Passphrase of {project}: ", require_key))
        context.require_key()
        status, said = _check(context, vault, slot, secret, require_key)
    finally:
        lease.release(held)
    damage = tuple(line.removeprefix("fsck: ") for line in said.splitlines() if line.startswith("fsck: "))
    sound = status == 0
    context.audit.write("checked", project=project, sound=sound)
    words = f"{project} is sound" if sound else "\n".join(damage)
    if sound or not command.wants_json:
        output.result({"project": project, "sound": sound}, words, command.wants_json)
    if not sound:
        raise DamagedVault(f"{project} is damaged: {len(damage)} problems", "your sysadmin can restore a backup")
    return 0


check = mount.check


def _check(
    context: Context, vault: Vault, slot: slots.Slot, secret: int, require_key: Callable[[], None]
) -> tuple[int, str]:
    """gocryptfs's exit status (0, or that of a corrupt vault) and its output. Raises EncError for other failures."""
    try:
        attempt = mount.begin_attempt(context, vault.name, require_key)
    except BaseException:
        os.close(secret)
        raise
    right = None
    try:
        status, said = _run(vault, slot, secret, require_key)
        if status == 0 or gocryptfs.is_corrupt(status):
            right = True
            return status, said
        error = gocryptfs.failure(status)
        right = False if isinstance(error, WrongSecret) else None
        raise error
    finally:
        backoff.end_attempt(attempt, vault.name, right)


def _run(vault: Vault, slot: slots.Slot, secret: int, require_key: Callable[[], None]) -> tuple[int, str]:
    """Run it to its end. Kills it and raises Dropped if the caller is gone before, Denied if the caller's key is."""
    said = os.memfd_create("said")
    inside = Vault(name=vault.name, path=paths.VAULTS)
    config = store.open_config(vault, slot.name)
    command = gocryptfs.fsck_argv(inside.cipher, config, secret)
    try:
        pid = process.spawn(check_argv(vault.path, command), {1: said, 2: said}, [config, secret])
        _wait(pid, require_key)
        status = process.exit_status(os.waitpid(pid, 0)[1])
        return status, os.pread(said, _LARGEST, 0).decode(errors="replace")
    finally:
        for fd in (said, config, secret):
            os.close(fd)


def _wait(pid: int, require_key: Callable[[], None]) -> None:
    ended = os.pidfd_open(pid)
    waiting = select.poll()
    waiting.register(ended, select.POLLIN)
    waiting.register(1, 0)
    try:
        while ended not in (ready := dict(waiting.poll(_KEY_CHECK_MS))):
            if ready:
                raise Dropped("the connection ended before the check did")
            require_key()
    except (Dropped, Denied):
        os.kill(pid, signal.SIGKILL)  # the sandbox ends with bubblewrap (--die-with-parent)
        os.waitpid(pid, 0)
        raise
    finally:
        os.close(ended)
