"""Copies of vaults by rsync: consistent ones while they are in use, and their way back.

Consistent means: between the look before a copy and the look after it nothing in the vault was changed, so the copy is
the vault at one moment. gocryptfs writes each of its operations as several of the file system, and a copy from the
middle of one could miss an IV or half a block; where somebody keeps writing, the copy is tried again, and what has not
changed since is not copied again. A copy that is not consistent never takes the place of one that is.

A copy belongs to whoever makes it, mostly root; the vaults belong to the gateway's account. So `account` (uid and gid)
is who looks into a vault, and who runs the side of rsync that reads or writes one: no link there leads root anywhere.
"""

from __future__ import annotations

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
_PAUSE = 0.5
"""Seconds after the first attempt; each time as much longer, for work comes in bursts."""

_SETTLED = 0.1
"""Seconds that the newest change must be older than the look: the kernel's clock for files is a few ms coarse."""

_DAY = 86400.0
_PARTS = ("cipher", "slots", "vault.toml")

Account = tuple[int, int]
Look = dict[str, tuple[int, ...]]
"""Of each path in a vault: type, inode, size, modification and change time."""


class Copied(Record):
    """What came of one vault: `problem` "" for a copy that is consistent and whole."""

    principal: str
    project: str
    attempts: int
    problem: str = ""


def back_up(account: Account, principal: str, vault: Vault, home: Path) -> Copied:
    """Bring the copy of `vault` in the directory `home` up to date, at once as a whole, or leave it as it is."""
    target, draft, old = home / vault.name, home / f".new-{vault.name}", home / f".old-{vault.name}"
    seen = home / f".seen-{vault.name}"
    if not target.exists() and old.exists():  # a run that was killed between the two renames
        old.rename(target)
    shutil.rmtree(old, ignore_errors=True)
    try:
        attempts, look = _copy(account, vault, target, draft, _load(seen) if target.exists() else {})
        problem = "" if look else f"it was written to during all of {attempts} attempts"
        if not problem and (wrong := ciphertext.problems(Vault(name=vault.name, path=str(draft)))):
            problem = "; ".join(wrong)
        if not problem:
            _flush(draft)
            if target.exists():
                target.rename(old)
            draft.rename(target)
            files.replace(seen, json.dumps(look), 0o600)
    except FileNotFoundError:  # removed while we copied it
        attempts, problem = 1, "it is no longer there, or a part of it is missing"
    except PermissionError as error:
        attempts, problem = 1, f"a part of it cannot be read by the gateway's account: {error.strerror}"
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
    return Copied(principal=principal, project=vault.name, attempts=attempts, problem=problem)


def _flush(copy: Path) -> None:
    """Have it on the disk before the earlier copy is removed, also if the power fails right after."""
    fd = os.open(copy, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        syscalls.syncfs(fd)
    finally:
        os.close(fd)


def _copy(account: Account, vault: Vault, target: Path, draft: Path, known: Look) -> tuple[int, Look]:
    """Copy to `draft` until nothing changes meanwhile: how many attempts that took, and the look (empty: in vain).

    `known` is the look of what is at `target`. rsync goes by size and time, which a program in the view may have set
    back, so what has another inode or change time than `known` is copied whatever its size and time. In each attempt
    again: --link-dest links a file that looks like the old one also over one that was just copied (rsync 3.5).
    """
    changed: set[str] = set()
    for attempt in range(1, ATTEMPTS + 1):
        began = time.time()
        before = _look(account, vault)
        failed = _rsync(account, vault.path, draft, ["--delete", f"--link-dest={target}", *_only_parts()])
        files_now = {path for path, found in before.items() if _is_file(found)}
        changed = (changed | {path for path in files_now & known.keys() if known[path] != before[path]}) & files_now
        if changed:
            with tempfile.NamedTemporaryFile("w", suffix=".paths") as list_:
                list_.write("".join(f"{path}\0" for path in changed))
                list_.flush()
                words = ["--ignore-times", "--from0", f"--files-from={list_.name}"]
                failed = failed or _rsync(account, vault.path, draft, words)
        unchanged = before == _look(account, vault)
        if failed and unchanged:
            raise failed
        newest = max((found[4] for found in before.values()), default=0) / 1e9
        if unchanged and newest < began - _SETTLED:
            return attempt, before
        known = before
        if attempt < ATTEMPTS:
            time.sleep(_PAUSE * attempt)
    return ATTEMPTS, {}


def _only_parts() -> list[str]:
    """Without `lock`, which says who has the vault unlocked, and what somebody else may have put there."""
    return [*(f"--include=/{part}" for part in _PARTS), "--exclude=/*"]


def _is_file(found: tuple[int, ...]) -> bool:
    return stat.S_ISREG(found[0])


def _look(account: Account, vault: Vault) -> Look:
    """Raises FileNotFoundError when a part is missing."""
    found: Look = {}
    with privileges.account(*account):
        for part in _PARTS:
            pending = [part]
            while pending:
                path = pending.pop()
                seen = os.lstat(os.path.join(vault.path, path))
                size = seen.st_size if stat.S_ISREG(seen.st_mode) else 0
                found[path] = (seen.st_mode, seen.st_ino, size, seen.st_mtime_ns, seen.st_ctime_ns)
                if stat.S_ISDIR(seen.st_mode):
                    names = os.listdir(os.path.join(vault.path, path))
                    pending += [os.path.join(path, name) for name in names]
    return found


def _load(path: Path) -> Look:
    try:
        return {name: tuple(values) for name, values in json.loads(path.read_text(encoding="utf-8")).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def bring_back(account: Account, source: Path, draft: str) -> None:
    """Copy the vault at `source` to `draft`, which the gateway's account makes. Raises CannotCreate."""
    words = ["-a", "--modify-window=-1", *_only_parts(), f"{source}/", f"{_remote()}{draft}/"]
    _run([*_as_account(account), *words])


def _rsync(account: Account, source: str, target: Path, words: list[str]) -> CannotCreate | None:
    """Copy a vault out; why that failed, which may be because somebody wrote there meanwhile. Nanoseconds count."""
    try:
        _run([*_as_account(account), "-a", "--modify-window=-1", *words, f"{_remote()}{source}/", f"{target}/"])
    except CannotCreate as error:
        return error
    return None


def _as_account(account: Account) -> list[str]:
    """rsync has a way to run its other side elsewhere; here "elsewhere" is the gateway's account on this host.

    It starts the words of -e, the "host", and its own command: setpriv becomes the account and runs env(1), which runs
    rsync. With -s, paths go down the pipe and not through those words.
    """
    rsync = [RSYNC, "-s"]
    if os.geteuid() != 0:
        return rsync
    uid, gid = account
    return [*rsync, "-e", f"/usr/bin/setpriv --reuid={uid} --regid={gid} --clear-groups"]


def _remote() -> str:
    return "env:" if os.geteuid() == 0 else ""


def _run(argv: list[str]) -> None:
    process.require(RSYNC, "rsync")
    status, said = process.run(argv, seconds=_DAY)
    if status:
        raise CannotCreate(f"rsync ended with {status}", said.strip().splitlines()[0] if said.strip() else "")
