"""Back up vaults with rsync, consistently even while they are in use, and restore them.

A copy is consistent if nothing in the vault changed between a snapshot before it and a snapshot after it; then it is
the vault at one point in time. gocryptfs turns one operation into several of the file system, so a copy from the middle
of one could miss an IV or half a block. While somebody writes, the copy is retried; files that have not changed are not
copied again. An inconsistent copy never replaces a consistent one.

The copy belongs to whoever makes it, usually root; the vaults belong to the gateway's account. Only that account
(`account`: uid and gid) reads a vault, and runs the side of rsync that reads or writes one. So no symbolic link in a
vault can lead root to another place.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tempfile
import time
from pathlib import Path

from gateway.base import files, json, privileges, process, syscalls
from gateway.base.records import Record
from gateway.errors import CannotCreate
from gateway.vault import ciphertext
from gateway.vault.store import Vault

RSYNC = "/usr/bin/rsync"
ATTEMPTS = 5
_PAUSE_SECONDS = 0.5
"""The pause after the first attempt. It grows by as much after each attempt, because writes come in bursts."""

_SETTLE_SECONDS = 0.1
"""How much older than the snapshot the newest change must be: file times have a resolution of a few ms."""

_RSYNC_TIMEOUT_SECONDS = 86400.0
_PARTS = ("cipher", "slots", "vault.toml")

Account = tuple[int, int]
Snapshot = dict[str, tuple[int, ...]]
"""For each path in a vault: mode, inode, size, mtime and ctime (ns)."""


class CopyResult(Record):
    """The result of backing up one vault; `problem` is "" if the copy is consistent and complete."""

    principal: str
    project: str
    attempts: int
    problem: str = ""


def back_up(account: Account, principal: str, vault: Vault, home: Path) -> CopyResult:
    """Update the copy of `vault` in the directory `home`: replace it as a whole, or leave it as it is."""
    target, staged, old = home / vault.name, home / f".new-{vault.name}", home / f".old-{vault.name}"
    snapshot_file = home / f".seen-{vault.name}"
    if not target.exists() and old.exists():  # an earlier run was killed between the two renames
        old.rename(target)
    shutil.rmtree(old, ignore_errors=True)
    try:
        known = _load_snapshot(snapshot_file) if target.exists() else {}
        attempts, snapshot = _copy(account, vault, target, staged, known)
        problem = "" if snapshot else f"it was written to during all {attempts} attempts"
        if not problem and (found := ciphertext.find_problems(Vault(name=vault.name, path=str(staged)))):
            problem = "; ".join(found)
        if not problem:
            _sync_filesystem(staged)
            if target.exists():
                target.rename(old)
            staged.rename(target)
            files.replace(snapshot_file, json.dumps(snapshot), 0o600)
    except FileNotFoundError:  # removed while we copied it
        attempts, problem = 1, "it has been removed, or a part of it is missing"
    except OSError as error:
        attempts, problem = 1, f"the gateway cannot read or copy a part of it: {error.strerror}"
    finally:
        shutil.rmtree(staged, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
    return CopyResult(principal=principal, project=vault.name, attempts=attempts, problem=problem)


def _sync_filesystem(copy: Path) -> None:
    """Write the copy to disk, so that it survives a power failure, before the earlier copy is removed."""
    fd = files.open_directory(str(copy))
    try:
        syscalls.syncfs(fd)
    finally:
        os.close(fd)


def _copy(account: Account, vault: Vault, target: Path, staged: Path, known: Snapshot) -> tuple[int, Snapshot]:
    """Copy to `staged` until nothing changes meanwhile. Returns the number of attempts and the snapshot of the copy.

    The snapshot is empty if no attempt succeeded. `known` is the snapshot of the copy at `target`. rsync compares sizes
    and times, which a program in the view can set back; so a file whose inode or ctime differs from `known` is always
    copied. This is repeated in each attempt: --link-dest also replaces a file that was just copied by a link to the old
    one if both look the same (rsync 3.5). Raises FileNotFoundError, CannotCreate.
    """
    changed: set[str] = set()
    for attempt in range(1, ATTEMPTS + 1):
        began = time.time()
        before = _take_snapshot(account, vault)
        failure = _rsync(account, vault.path, staged, ["--delete", f"--link-dest={target}", *_only_parts()])
        files_now = {path for path, found in before.items() if stat.S_ISREG(found[0])}
        changed = (changed | {path for path in files_now & known.keys() if known[path] != before[path]}) & files_now
        if changed:
            failure = failure or _rsync_anyway(account, vault.path, staged, changed)
        unchanged = before == _take_snapshot(account, vault)
        if failure and unchanged:
            raise failure
        newest = max((found[4] for found in before.values()), default=0) / 1e9
        if unchanged and newest < began - _SETTLE_SECONDS:
            return attempt, before
        known = before
        if attempt < ATTEMPTS:
            time.sleep(_PAUSE_SECONDS * attempt)
    return ATTEMPTS, {}


def _only_parts() -> list[str]:
    """rsync options that leave out `lock`, which says who has the vault unlocked, and foreign files."""
    return [*(f"--include=/{part}" for part in _PARTS), "--exclude=/*"]


def _take_snapshot(account: Account, vault: Vault) -> Snapshot:
    """Raises FileNotFoundError if a part is missing, NotADirectoryError if the vault is a link."""
    found: Snapshot = {}
    with privileges.account(*account):
        if not stat.S_ISDIR(os.lstat(vault.path).st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), vault.path)
        for part in _PARTS:
            pending = [part]
            while pending:
                path = pending.pop()
                status = os.lstat(os.path.join(vault.path, path))
                size = status.st_size if stat.S_ISREG(status.st_mode) else 0
                found[path] = (status.st_mode, status.st_ino, size, status.st_mtime_ns, status.st_ctime_ns)
                if stat.S_ISDIR(status.st_mode):
                    names = os.listdir(os.path.join(vault.path, path))
                    pending += [os.path.join(path, name) for name in names]
    return found


def _load_snapshot(path: Path) -> Snapshot:
    """The snapshot that an earlier run saved; empty if there is none, or it is damaged."""
    try:
        return {name: tuple(values) for name, values in json.loads(path.read_text(encoding="utf-8")).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def restore(account: Account, source: Path, staged: str) -> None:
    """Copy the vault at `source` to `staged`, which the gateway's account creates. Raises CannotCreate."""
    words = ["-a", "--modify-window=-1", *_only_parts(), f"{source}/", f"{_remote_prefix()}{staged}/"]
    _run([*_rsync_argv(account), *words])


def _rsync(account: Account, source: str, target: Path, words: list[str]) -> CannotCreate | None:
    """Copy a vault to the backup. Returns the error if that fails, perhaps because somebody wrote there meanwhile.

    Times are compared to the nanosecond (--modify-window=-1).
    """
    try:
        _run([*_rsync_argv(account), "-a", "--modify-window=-1", *words, f"{_remote_prefix()}{source}/", f"{target}/"])
    except CannotCreate as error:
        return error
    return None


def _rsync_anyway(account: Account, source: str, target: Path, paths: set[str]) -> CannotCreate | None:
    """Copy the files `paths`, also where size and time are equal."""
    with tempfile.NamedTemporaryFile("w", suffix=".paths") as list_:
        list_.write("".join(f"{path}\0" for path in paths))
        list_.flush()
        return _rsync(account, source, target, ["--ignore-times", "--from0", f"--files-from={list_.name}"])


def _rsync_argv(account: Account) -> list[str]:
    """rsync, with its remote side run as the gateway's account on this host.

    rsync starts the words of -e, the host (`env`, see `_remote_prefix`) and its own command. So setpriv(1) becomes the
    account and runs env(1), which runs rsync. With -s, paths are sent through the pipe, not in those words.
    """
    rsync = [RSYNC, "-s"]
    if os.geteuid() != 0:
        return rsync
    uid, gid = account
    return [*rsync, "-e", f"/usr/bin/setpriv --reuid={uid} --regid={gid} --clear-groups"]


def _remote_prefix() -> str:
    return "env:" if os.geteuid() == 0 else ""


def _run(argv: list[str]) -> None:
    process.require(RSYNC, "rsync")
    status, output = process.run(argv, seconds=_RSYNC_TIMEOUT_SECONDS)
    if status:
        raise CannotCreate(f"rsync failed with exit status {status}", output.strip().partition("\n")[0])
