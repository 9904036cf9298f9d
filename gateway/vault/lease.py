"""The lease of a vault: one session at a time holds the vault's lock (flock(2)), and writes its name into the file."""

from __future__ import annotations

import errno
import os

from gateway.base import files, json, locks
from gateway.base.records import Record
from gateway.errors import Busy
from gateway.vault import damage, store
from gateway.vault.store import Vault

REKEY = "rekey"
"""In the place of a session's id, while the vault is being copied into one with a new key (gateway.vault.rekey)."""
_COMMANDS = frozenset({REKEY, "fsck", "mv", "rm", "sweep"})


class LeaseHolder(Record):
    """Who has a vault unlocked: session id or the command's word, since when (UTC, RFC 3339), the client's address."""

    session: str
    since: str
    address: str


def acquire(vault: Vault, holder: LeaseHolder) -> int:
    """Acquire the vault's lock. Returns a descriptor that holds it until `release`, or until it is closed.

    Raises Busy, which names the holder, NoSuchProject if the vault has been removed meanwhile, DamagedVault if the lock
    is no file, and Misconfigured if the disk does not let it be opened.
    """
    try:
        fd = files.open_regular(vault.lock, os.O_RDWR | os.O_CREAT)
    except FileNotFoundError as error:
        raise store.no_such_project(vault.name) from error
    except OSError as error:
        raise damage.error(vault.name, "its lock is no file", "a sysadmin can remove it", error) from error
    if not locks.try_acquire(fd):
        current = _read_holder(fd)
        os.close(fd)
        raise _busy(vault, current)
    if not _is_at(fd, vault.lock):  # the vault was moved to the trash meanwhile; the name may be another vault's now
        os.close(fd)
        if os.path.lexists(vault.lock):
            raise Busy(f"{vault.name} was replaced meanwhile", "try again")
        raise store.no_such_project(vault.name)
    try:
        os.ftruncate(fd, 0)
        os.pwrite(fd, json.dumps(holder.as_dict()).encode(), 0)
    except OSError:
        return fd  # the disk is full: hold the lock without a name, so that the user can unlock and delete files
    return fd


def is_held_by_session(vault: Vault) -> bool:
    """Whether a session has the vault's lock now, or somebody who could not write a name into it."""
    is_taken, holder = _look(vault)
    return is_taken and (holder is None or holder.session not in _COMMANDS)


def require_no_rekey(vault: Vault) -> None:
    """Raise the Busy that `acquire` would raise for a vault that is being rekeyed: before a secret is asked for."""
    is_taken, holder = _look(vault)
    if is_taken and holder and holder.session == REKEY:
        raise _busy(vault, holder)


def _look(vault: Vault) -> tuple[bool, LeaseHolder | None]:
    """Whether somebody has the vault's lock now, and the name that is in it. A lock that cannot be opened counts as
    free: `acquire` says what is wrong with it.
    """
    try:
        fd = files.open_regular(vault.lock)
    except OSError:
        return False, None
    try:
        holder = _read_holder(fd) if os.fstat(fd).st_size else None  # an empty one needs no parser loaded
        return locks.is_taken(fd), holder
    finally:
        os.close(fd)


def _busy(vault: Vault, holder: LeaseHolder | None) -> Busy:
    if holder and holder.session == REKEY:
        about = f"{vault.name} is being rekeyed, from {holder.address} since {holder.since}"
        return Busy(about, "it can be unlocked when that is done")
    return Busy(f"{vault.name} is unlocked already{_by(holder)}", f"`unmount {vault.name}` locks it")


def require_writable(vault: Vault) -> None:
    """Raise what `acquire` would raise because of the gateway's disk. Takes and changes nothing."""
    try:
        if os.statvfs(vault.path).f_flag & os.ST_RDONLY:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
    except OSError as error:
        raise damage.error(vault.name, "it is missing", "a sysadmin can restore it from a backup", error) from error


def _is_at(fd: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path, follow_symlinks=False))
    except FileNotFoundError:
        return False


def note_use(vault: Vault) -> None:
    """The vault was locked now, by the end of a process that had the lock; nothing when somebody has it again. Raises
    OSError.
    """
    fd = os.open(vault.lock, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if locks.try_acquire(fd):
            os.ftruncate(fd, 0)
    finally:
        os.close(fd)


def release(fd: int) -> None:
    """Release the lock, and close `fd`. This sets the lock file's mtime, which is when the vault was last used."""
    try:
        os.ftruncate(fd, 0)
    except OSError:  # the disk refuses writes: the holder's name stays in the file, without the lock
        pass
    finally:
        os.close(fd)


def _read_holder(fd: int) -> LeaseHolder | None:
    from gateway.base import codec  # not for `ls`, which only wants to know when a vault was used

    try:
        return codec.loads(LeaseHolder, os.pread(fd, 4096, 0), {})
    except ValueError:
        return None


def _by(holder: LeaseHolder | None) -> str:
    return f" by session {holder.session} from {holder.address} since {holder.since}" if holder else ""


def last_used(vault: Vault) -> float:
    """When the vault was last unlocked or locked (else: created), in seconds since the epoch; 0.0 if unknown.

    A sysadmin may have removed the lock, and a copy from elsewhere has none.
    """
    for path in (vault.lock, vault.metadata):
        try:
            return os.lstat(path).st_mtime
        except OSError:
            continue
    return 0.0
