"""Back up vaults, consistently even while they are in use, and restore them.

A copy is consistent if nothing in the vault changed between a snapshot before it and a snapshot after it; then it is
the vault at one point in time. gocryptfs turns one operation into several of the file system, so a copy from the middle
of one could miss an IV or half a block. While somebody writes, the copy is retried; files that have not changed are not
copied again. An inconsistent copy never replaces a consistent one.

The copy belongs to whoever makes it, usually root; the vaults belong to the gateway's account. So root follows no link
in a vault, and reads what does not belong to the account with the account's rights alone. Root does not write to a
vault: a restored one is written with the account's ids.
"""

from __future__ import annotations

import functools
import os
import stat
import time
from collections.abc import Iterable
from pathlib import Path

from gateway.base import files, json, privileges, syscalls
from gateway.base.records import Record
from gateway.base.tree.copy import Copy, Earlier, limit
from gateway.base.tree.descent import CHANGE, READ, Descent
from gateway.base.tree.walk import remove, stop, walk
from gateway.errors import CannotCreate
from gateway.vault import ciphertext
from gateway.vault.store import Vault

ATTEMPTS = 5
_PAUSE_SECONDS = 0.5
"""The pause after the first attempt. It grows by as much after each attempt, because writes come in bursts."""

_SETTLE_SECONDS = 0.1
"""How much older than the snapshot the newest change must be: file times have a resolution of a few ms."""

_PARTS = ("cipher", "slots", "vault.toml")
"""What is copied. Not `lock` and `holder`, which say who has the vault unlocked, and not foreign files."""

_CEPH_INODE = (1 << 48) - 1

_LINKS = ".links-"
"""Prefix of the directory that has a link to each file with several, while a copy is made."""

Account = tuple[int, int]
Snapshot = dict[str, tuple[int, ...]]
"""Mode, inode, size, mtime and ctime (ns) of each entry of a vault. The key is the inode of its directory and its name:
so the size does not grow with the depth. Without the ctime (0) for what the account has no rights to read: whoever
counts sizes changes it.
"""


class Origin(Record):
    """The vault to copy, and the ids of the account that the vaults belong to."""

    account: Account
    vault: Vault
    is_snapshot: bool = False

    def key(self, directory: int, name: str) -> str:
        return f"{self._inode(directory)}/{name}"

    def fields(self, found: os.stat_result) -> tuple[int, ...]:
        size = found.st_size if stat.S_ISREG(found.st_mode) else 0
        need = READ if stat.S_ISDIR(found.st_mode) else stat.S_IRUSR
        closed = found.st_mode & need != need and not stat.S_ISLNK(found.st_mode)
        inode = self._inode(found.st_ino)
        return found.st_mode, inode, size, found.st_mtime_ns, 0 if closed else found.st_ctime_ns

    def _inode(self, number: int) -> int:
        """ceph-fuse has the number of the snapshot above the 48 bits of the inode's own."""
        return number & _CEPH_INODE if self.is_snapshot else number


class CopyResult(Record):
    """The result of backing up one vault; `problem` is "" if the copy is consistent and complete. `changed` tells
    whether it differs from the copy before, `size` is that of the vault, `copied` what had to be copied (bytes).
    """

    principal: str
    project: str
    attempts: int
    problem: str = ""
    changed: bool = False
    size: int = 0
    copied: int = 0


def back_up(origin: Origin, principal: str, home: Path) -> CopyResult:
    """Update the copy of a vault in the directory `home`: replace it as a whole, or leave it as it is."""
    vault = origin.vault
    target, old, snapshot_file = home / vault.name, home / f".old-{vault.name}", home / f".seen-{vault.name}"
    staged, earlier = home / f".new-{vault.name}", home / f".again-{vault.name}"
    unfinished = (staged, earlier, old, home / f"{_LINKS}{vault.name}")
    known: Snapshot = {}
    snapshot: Snapshot = {}
    try:
        if not target.exists() and old.exists():  # an earlier run was killed between the two renames
            old.rename(target)
        _remove(*unfinished)
        known = _load_snapshot(snapshot_file) if target.exists() else {}
        attempts, snapshot = _copy(origin, target, staged, earlier, known)
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
        attempts, problem = 1, f"the gateway cannot read or copy a part of it: {_located(error)}"
    finally:
        _remove(*unfinished)
    if problem:
        return CopyResult(principal=principal, project=vault.name, attempts=attempts, problem=problem)
    return CopyResult(
        principal=principal,
        project=vault.name,
        attempts=attempts,
        changed=snapshot != known or not all(found[4] for found in snapshot.values()),
        size=_bytes(snapshot.values()),
        copied=_bytes(found for key, found in snapshot.items() if known.get(key) != found or not found[4]),
    )


def _bytes(entries: Iterable[tuple[int, ...]]) -> int:
    """The sizes of files, each inode once."""
    return sum({found[1]: found[2] for found in entries}.values())


def recorded(home: Path, project: str) -> int:
    """How many files and directories the copy of a project in `home` had when it was made; 0 if that is not known."""
    return len(_load_snapshot(home / f".seen-{project}"))


def copied_at(home: Path, project: str) -> float:
    """When the copy of a project in the directory `home` was last made or found to be up to date (seconds since the
    epoch); 0.0 if that is not known.
    """
    try:
        return (home / f".seen-{project}").stat().st_mtime
    except OSError:
        return 0.0


def _remove(*paths: Path) -> None:
    for path in paths:
        remove(str(path))


def _located(error: OSError) -> str:
    where = ciphertext.shortened(error.filename) if isinstance(error.filename, str) else ""
    return f"{where}: {error.strerror}" if where else str(error.strerror)


def _sync_filesystem(copy: Path) -> None:
    """Write the copy to disk, so that it survives a power failure, before the earlier copy is removed."""
    fd = files.open_directory(str(copy))
    try:
        syscalls.syncfs(fd)
    finally:
        os.close(fd)


def _copy(origin: Origin, target: Path, staged: Path, earlier: Path, known: Snapshot) -> tuple[int, Snapshot]:
    """Copy to `staged` until nothing changes meanwhile. Returns the number of attempts and the snapshot of the copy.

    The snapshot is empty if no attempt succeeded. `known` is the snapshot of the copy at `target`. A file that is as it
    was then becomes a link to that copy. The same holds for the attempt before this one, which is kept at `earlier`.
    Raises FileNotFoundError, OSError.
    """
    for attempt in range(1, ATTEMPTS + 1):
        began = time.time()
        before = _take_snapshot(origin)
        failure = None
        try:
            _copy_once(origin, target, staged, known)
        except OSError as error:
            failure = error
        unchanged = before == _take_snapshot(origin)
        if failure and unchanged:
            raise failure
        newest = max((found[4] for found in before.values()), default=0)
        settled = int((began - _SETTLE_SECONDS) * 1e9)
        if unchanged and newest < settled:
            return attempt, before
        if failure:
            _remove(staged)
        else:
            _remove(earlier)
            staged.rename(earlier)
            target, known = earlier, {key: found for key, found in before.items() if found[4] < settled}
        if attempt < ATTEMPTS:
            time.sleep(_PAUSE_SECONDS * attempt)
    return ATTEMPTS, {}


def _copy_once(origin: Origin, earlier: Path, staged: Path, known: Snapshot) -> None:
    """Copy the vault to `staged`. What it has in common with `known` is linked to the copy at `earlier`."""
    staged.mkdir(0o700)
    links = staged.with_name(f"{_LINKS}{origin.vault.name}")
    links.mkdir(0o700)
    source, target = _source(origin), Descent(str(staged), CHANGE)
    old = Descent(str(earlier)) if known else None

    def is_known(directory: int, name: str, found: os.stat_result) -> bool:
        before, now = known.get(origin.key(directory, name)), origin.fields(found)
        if before is None or stat.S_ISDIR(found.st_mode):
            return before is not None and before[1] == now[1]
        return before == now and before[4] != 0

    try:
        earlier_copy = Earlier(old, is_known) if old else None
        Copy(source, target, str(links), earlier_copy, owners=os.geteuid() == 0).run(_PARTS)
    finally:
        for descent in (source, target, old):
            if descent:
                descent.close()
        _remove(links)


def _source(origin: Origin) -> Descent:
    """Opened with the account's ids: the directories above belong to it, and may be links."""
    account = origin.account
    with privileges.account(*account):
        return Descent(origin.vault.path, READ, (account[0], functools.partial(privileges.account, *account)))


def _take_snapshot(origin: Origin) -> Snapshot:
    """Raises FileNotFoundError if a part is missing, NotADirectoryError if the vault is a link."""
    found: Snapshot = {}
    source = _source(origin)
    try:
        for entries in walk(source, stop):
            if not source.depth:
                limit(entries, _PARTS)
            for name, status in entries.items():
                found[origin.key(source.inode, name)] = origin.fields(status)
    except OSError as error:
        if not isinstance(error, FileNotFoundError):
            error.filename = source.path()
        raise
    finally:
        source.close()
    return found


def _load_snapshot(path: Path) -> Snapshot:
    """The snapshot that an earlier run saved; empty if there is none, or it is damaged."""
    try:
        return {name: tuple(values) for name, values in json.loads(path.read_text(encoding="utf-8")).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def restore(account: Account, source: Path, staged: str) -> None:
    """Copy the vault at `source`, which we read, to `staged`, which the account writes. Raises CannotCreate."""
    links = os.path.join(os.path.dirname(staged), _LINKS + os.path.basename(staged))
    as_account = functools.partial(privileges.account, *account)
    target: Descent | None = None
    try:
        origin = Descent(str(source))
        try:
            with as_account():
                remove(staged)  # left by a restore that was killed
                remove(links)
                os.mkdir(staged, 0o700)
                os.mkdir(links, 0o700)
                target = Descent(staged, CHANGE)
            Copy(origin, target, links, writing=as_account).run(_PARTS)
            with as_account(), open(os.path.join(staged, "lock"), "x", encoding="utf-8") as lock:
                os.fsync(lock.fileno())  # as gateway.vault.lease has it; its time is that of the last use
        finally:
            origin.close()
    except OSError as error:
        raise CannotCreate(f"the copy could not be restored: {_located(error)}", "nothing was restored") from error
    finally:
        with as_account():
            if target:
                target.close()
            remove(links)
