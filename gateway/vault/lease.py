"""Who has a vault: one session at a time holds its lock (flock(2)), and says so in it."""

from __future__ import annotations

import os

from gateway.base import json, locks
from gateway.base.records import Record
from gateway.errors import Busy, DamagedVault
from gateway.vault import store
from gateway.vault.store import Vault


class Holder(Record):
    """Who has a vault's view: session id, since when (UTC, RFC 3339), and the client's address."""

    session: str
    since: str
    address: str


def hold(vault: Vault, holder: Holder) -> int:
    """Take the vault for a session: a descriptor that holds it until it is closed.

    Raises Busy, naming who has it, NoSuchProject when it was removed since it was found, and DamagedVault when its
    lock is no file that can be locked.
    """
    try:
        fd = os.open(vault.lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except FileNotFoundError as error:
        raise store.missing(vault.name) from error
    except OSError as error:
        raise DamagedVault(f"{vault.name} is damaged: its lock cannot be opened", error.strerror) from error
    if not locks.try_for(fd):
        has = _read_holder(fd)
        os.close(fd)
        raise Busy(f"{vault.name} is unlocked already{_by(has)}", f"`unmount {vault.name}` locks it")
    if not _is_at(fd, vault.lock):  # a lock in the trash holds nothing of what has the name now
        os.close(fd)
        raise store.missing(vault.name)
    os.ftruncate(fd, 0)
    try:
        os.pwrite(fd, json.dumps(holder.as_dict()).encode(), 0)
    except OSError:
        return fd  # a full disk: held without a name, so that it can be unlocked to make room
    return fd


def _is_at(fd: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path, follow_symlinks=False))
    except FileNotFoundError:
        return False


def release(fd: int, stuck: bool = False) -> None:
    """Give back what `hold` returned. The lock file's time is when the vault was last used.

    `stuck`: the disk does not answer, so it is asked nothing, not even to close; the lock is free all the same.
    """
    if stuck:
        locks.release(fd)
        return
    try:
        os.ftruncate(fd, 0)
    except OSError:  # a disk that takes no writes: a name is left in the file, and holds nothing
        pass
    finally:
        os.close(fd)


def _read_holder(fd: int) -> Holder | None:
    from gateway.base import codec  # not for `ls`, which only wants to know when a vault was used

    try:
        return codec.loads(Holder, os.pread(fd, 4096, 0), {})
    except ValueError:
        return None


def _by(holder: Holder | None) -> str:
    return f" by session {holder.session} from {holder.address} since {holder.since}" if holder else ""


def last_used(vault: Vault) -> float:
    """Seconds since the epoch when the vault was last unlocked or locked (at first: created)."""
    try:
        return os.stat(vault.lock).st_mtime
    except OSError:
        return 0.0
