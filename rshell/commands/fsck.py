"""Check a project with `gocryptfs -fsck`, in a sandbox of its own. It needs the passphrase, or a signature."""

from __future__ import annotations

import os

from gateway.base import json
from gateway.base.clock import boottime
from gateway.errors import DamagedVault, Dropped, EncError, Unread, WrongSecret
from gateway.limits import backoff
from gateway.sandbox import paths
from gateway.sandbox.fsck import check_argv, mend_argv
from gateway.sandbox.host import require_host
from gateway.vault import fsck_report, gocryptfs, lease, store
from gateway.vault.slots.change import Opened
from gateway.vault.store import Vault
from rshell.commands import mount
from rshell.context import Context, required
from rshell.language.command import Command
from rshell.session import unlocking, watched
from rshell.terminal import output, questions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.base.records import Fd

_KEY_CHECK_MS = 500
_LARGEST = 256 * 1024
"""Bytes of gocryptfs's output that are passed on. The list of a vault with much damage is cut."""


def run(context: Context, command: Command) -> int:
    """Ask for the passphrase, or take a signature, and check. Prints the names of damaged files, to the caller alone.

    What has lost its long name gets a new one; nothing else is written.

    Raises DamagedVault if there are any, Unread if some could not be read, and as `mount`. It holds the vault's lock,
    so nobody can unlock it meanwhile.
    """
    project = required(command.project)
    vault = mount.reach(context, project)
    slots = check(context, command)
    require_host()
    held = lease.acquire(vault, context.lease_holder("fsck"))
    try:
        require_key = context.key_checker()
        given = unlocking.ask(vault, slots, require_key)
        context.require_key()
        opened, attempt = unlocking.begin(context, vault, slots, given, require_key)
        status, said = _check(vault, opened, attempt, require_key)
        recovered = _mend(vault, opened, require_key) if gocryptfs.LOST_NAME in said else []
        if recovered:
            attempt = unlocking.begin_attempt(context, project, require_key)
            status, said = _check(vault, opened, attempt, require_key)
        report = fsck_report.parse(said)
        failed = fsck_report.unreadable(vault, _between(require_key)) if report.disk else 0
    finally:
        lease.release(held)
    sound = status == 0
    context.audit.write("checked", project=project, sound=sound, unread=len(report.unread) + failed)
    renamed = tuple(f"{path}: its name was lost; this is its new name" for path in recovered)
    found = (f"{project} is sound",) if sound else (*report.damage, *report.unread)
    if sound or not command.wants_json:
        fields = {"project": project, "sound": sound, **({"recovered": recovered} if recovered else {})}
        output.result(fields, "\n".join((*renamed, *found)), command.wants_json)
    if error := _verdict(project, sound, report, failed):
        raise error
    return 0


def _verdict(project: str, sound: bool, report: fsck_report.Report, failed: int) -> EncError | None:
    """The error for a check that found something; `failed`: the number of files that the disk could not read."""
    if failed:
        message = f"the gateway's disk could not read {failed} files of {project}: it may or may not be damaged"
        return Unread(message, "tell your sysadmin, and check again when the disk is right")
    if report.damage:
        return DamagedVault(
            f"{project} is damaged: {len(report.damage)} problems{_and_unread(report)}",
            "your sysadmin can restore a backup",
        )
    if report.unread:
        return Unread(
            f"{len(report.unread)} files of {project} could not be read; the others are sound",
            "check them by reading them in the project",
        )
    if not sound:  # gocryptfs 2.3 counts what lstat(2) does not reach, and prints nothing
        return Unread(
            f"gocryptfs could not check a part of {project}, and does not name it",
            "it reaches no path of more than 4,095 bytes: check what lies deeper by reading it in the project",
        )
    return None


def _and_unread(report: fsck_report.Report) -> str:
    return f", and {len(report.unread)} files could not be read" if report.unread else ""


check = mount.check_locked


def _check(vault: Vault, opened: Opened, attempt: Fd, require_key: Callable[[], None]) -> tuple[int, str]:
    """gocryptfs's exit status (0, or that of a corrupt vault), and its output. Ends the attempt. Raises EncError for
    other failures.
    """
    right = None
    try:
        status, said = _run(vault, opened, require_key)
        if status == 0 or gocryptfs.is_corrupt(status):
            right = True
            return status, said
        error = gocryptfs.failure(status, opened.slot.kind.value)
        right = False if isinstance(error, WrongSecret) else None
        raise error
    finally:
        backoff.end_attempt(attempt, vault.name, right)


def _run(vault: Vault, opened: Opened, require_key: Callable[[], None]) -> tuple[int, str]:
    inside = Vault(name=vault.name, path=paths.VAULTS)
    config, secret = store.open_config(vault, opened.slot.name), questions.pipe(opened.secret)
    argv = check_argv(vault.path, gocryptfs.fsck_argv(inside.cipher, config, secret))
    return _in_sandbox(argv, config, secret, require_key, mounts=False)


def _mend(vault: Vault, opened: Opened, require_key: Callable[[], None]) -> list[str]:
    """The new names of what had lost its own (gateway.vault.inside.lost_names). Raises Dropped, Denied."""
    config, passphrase = store.open_config(vault, opened.slot.name), questions.pipe(opened.secret)
    argv = mend_argv(vault.path, config, passphrase)
    status, said = _in_sandbox(argv, config, passphrase, require_key, mounts=True)
    return [str(path) for path in json.loads(said)] if status == 0 else []


def _in_sandbox(
    argv: list[str], config: int, secret: int, require_key: Callable[[], None], mounts: bool
) -> tuple[int, str]:
    """Run it to its end, and close the descriptors: exit status and output, with the errors of what does not mount.
    Ends it and raises Dropped if the caller is gone before, Denied if the caller's key is.
    """
    said = os.memfd_create("said")
    try:
        stdio = {1: said} if mounts else {1: said, 2: said}
        sandbox = watched.Sandbox(argv, stdio, [config, secret], mounts)
        status = sandbox.wait(require_key, "the check")
        return status, os.pread(said, _LARGEST, 0).decode(errors="replace")
    finally:
        for fd in (said, config, secret):
            os.close(fd)


def _between(require_key: Callable[[], None]) -> Callable[[], None]:
    """To be called often by what takes long. Raises Dropped if the caller is gone, Denied if the caller's key is."""
    looked = boottime()

    def look() -> None:
        nonlocal looked
        if (boottime() - looked) * 1000 < _KEY_CHECK_MS:
            return
        looked = boottime()
        if watched.is_gone():
            raise Dropped("the connection ended before the check did")
        require_key()

    return look
