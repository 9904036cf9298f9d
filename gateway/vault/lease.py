"""The lease of a vault: one session at a time holds the vault's lock (flock(2)). Its name is in a file beside that.

The lock is never written. On a file system that several hosts share, the host that wrote a file answers for it, and who
looks at it waits until that host does, or is thrown out. So the name is in `holder`, which is replaced by a rename and
not kept open. It says whom to ask, and its time when the vault was used; who holds the vault, the lock alone decides.
"""

from __future__ import annotations

import errno
import os

from gateway.base import files, json, locks
from gateway.base.records import Record
from gateway.errors import Busy
from gateway.vault import damage, store
from gateway.vault.store import Vault

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.base.codec import Shown

REKEY = "rekey"
"""In the place of a session's id, while the vault is being copied into one with a new key (gateway.vault.rekey)."""
_COMMANDS = frozenset({REKEY, "fsck", "mv", "rm", "sweep"})
_MAX_BYTES = 4096


class LeaseHolder(Record):
    """Who has a vault unlocked: session id or the command's word, since when (UTC, RFC 3339), the client's address, and
    the host's name in a cluster ("": it is alone).
    """

    session: Shown
    since: Shown
    address: Shown
    host: Shown = ""


def acquire(vault: Vault, holder: LeaseHolder) -> int:
    """Acquire the vault's lock. Returns a descriptor that holds it until `release`, or until it is closed.

    Raises Busy, which names the holder, NoSuchProject if the vault has been removed meanwhile, DamagedVault if the lock
    is no file, and Misconfigured if the disk does not let it be opened or locked.
    """
    try:
        fd = _open(vault)
    except FileNotFoundError as error:
        raise store.no_such_project(vault.name) from error
    except OSError as error:
        raise _no_file(vault, error) from error
    try:
        if not locks.try_acquire(fd):
            raise _busy(vault, _read_holder(vault), holder.host)
        if not _is_at(fd, vault.lock):  # the vault was moved to the trash meanwhile; the name may be another vault's
            if os.path.lexists(vault.lock):
                raise Busy(f"{vault.name} was replaced meanwhile", "try again")
            raise store.no_such_project(vault.name)
    except OSError as error:  # a host that was thrown out of the file system opens files, and locks none
        os.close(fd)
        raise _no_file(vault, error) from error
    except BaseException:
        os.close(fd)
        raise
    try:
        files.replace(vault.holder, json.dumps(holder.as_dict()), durable=bool(holder.host))
    except OSError:  # the disk is full: hold the lock without a name, so that the user can unlock and delete files
        _forget_last(vault)
    return fd


def _forget_last(vault: Vault) -> None:
    """Remove the name of one who was killed, if it can be."""
    try:
        os.unlink(vault.holder)
    except OSError:
        return


def _open(vault: Vault) -> int:
    """The lock, which is made if it is missing. Raises OSError."""
    try:
        return files.open_regular(vault.lock, os.O_RDWR)
    except FileNotFoundError:
        return files.make_lock(vault.lock)


def _no_file(vault: Vault, error: OSError) -> Exception:
    return damage.error(vault.name, "its lock is no file", "a sysadmin can remove it", error)


def is_held(vault: Vault) -> bool:
    """Whether somebody has the vault's lock now. A lock that cannot be opened counts as free: `acquire` says what is
    wrong with it.
    """
    try:
        fd = files.open_regular(vault.lock)
    except OSError:
        return False
    try:
        return locks.is_taken(fd)
    finally:
        os.close(fd)


def is_held_by_session(vault: Vault) -> bool:
    """Whether a session has the vault's lock now, or somebody who could not write a name beside it."""
    if not is_held(vault):
        return False
    holder = _read_holder(vault)
    return holder is None or holder.session not in _COMMANDS


def host(vault: Vault) -> str:
    """The host of the session that has written its name beside the lock; "" for none. It may have died since: the lock
    is not looked at.
    """
    holder = _read_holder(vault)
    return holder.host if holder and holder.session not in _COMMANDS else ""


def require_no_rekey(vault: Vault) -> None:
    """Raise the Busy that `acquire` would raise for a vault that is being rekeyed: before a secret is asked for."""
    holder = _read_holder(vault)
    if holder and holder.session == REKEY and is_held(vault):
        raise _busy(vault, holder)


def _busy(vault: Vault, holder: LeaseHolder | None, host: str = "") -> Busy:
    """`host` is ours."""
    if holder and holder.session == REKEY:
        about = f"{vault.name} is being rekeyed{_on(holder)}, from {holder.address} since {holder.since}"
        return Busy(about, "it can be unlocked when that is done")
    hint = f"`unmount {vault.name}` locks it"
    if holder and holder.host not in ("", host):
        hint = f"connect to {holder.host}, where it is"
    return Busy(f"{vault.name} is unlocked already{_by(holder)}", hint)


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
    fd = files.open_regular(vault.lock, os.O_RDWR)
    try:
        if locks.try_acquire(fd):
            files.replace(vault.holder, "", durable=False)
            locks.release(fd)
    finally:
        os.close(fd)


def release(fd: int, is_shared: bool = False) -> None:
    """Release the lock, and close `fd`. The holder's file beside it, wherever the vault was moved to, becomes empty,
    and its mtime when the vault was last used. With `is_shared` a sandbox may still have the descriptor: the lock is
    free when that has ended.
    """
    try:
        files.replace(_beside(fd), "", durable=False)
        if not is_shared:  # where hosts share the disk, a close(2) alone tells the others some milliseconds later
            locks.release(fd)
    except OSError:  # the vault is gone, or the disk refuses writes: the name stays there, without the lock
        pass
    finally:
        os.close(fd)


def _beside(fd: int) -> str:
    """The path of the holder's file in the vault of the lock `fd`, which may have been moved since it was opened."""
    lock = os.readlink(f"/proc/self/fd/{fd}")
    return os.path.join(os.path.dirname(lock), store.HOLDER)


def _read_holder(vault: Vault) -> LeaseHolder | None:
    """The name that is there; that of one who was killed as well."""
    from gateway.base import codec  # not for `ls`, which only wants to know when a vault was used

    try:
        return codec.loads(LeaseHolder, files.read(vault.holder, _MAX_BYTES), {})
    except (OSError, ValueError):
        return None


def _on(holder: LeaseHolder) -> str:
    return f" on {holder.host}" if holder.host else ""


def _by(holder: LeaseHolder | None) -> str:
    if holder is None:
        return ""
    return f" by session {holder.session}{_on(holder)} from {holder.address} since {holder.since}"


def last_used(vault: Vault) -> float:
    """When the vault was last unlocked or locked (else: created), in seconds since the epoch; 0.0 if unknown.

    A vault that was not used since gateways wrote no `holder` has the time at its lock. A sysadmin may have removed
    both, and a copy from elsewhere has neither.
    """
    for path in (vault.holder, vault.lock, vault.metadata):
        try:
            return os.lstat(path).st_mtime
        except OSError:
            continue
    return 0.0
