"""Create a vault atomically, and remove one by moving it to the trash."""

from __future__ import annotations

import errno
import os
import time

from gateway.base import files, locks, toml
from gateway.base.clock import utc_now
from gateway.base.tree import walk
from gateway.errors import CannotCreate
from gateway.identity.names import Named, ProjectName, SlotName
from gateway.vault import damage, gocryptfs, lease, store
from gateway.vault.lease import LeaseHolder
from gateway.vault.slots import change, stored
from gateway.vault.store import Vault

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

FIRST_SLOT = SlotName("passphrase")
TRASH = ".trash"


def creation_lock(home: str) -> locks.DirectoryLock:
    """A context in which no other process creates a vault in the principal's directory `home`; it waits for others."""
    return locks.DirectoryLock(home)


def new_id() -> str:
    """The id of a vault that is to be made."""
    return os.urandom(8).hex()


def create(
    home: str,
    name: ProjectName,
    fingerprint: str,
    secret_fd: int,
    first: stored.Slot | None = None,
    vault_id: str = "",
    complete: Callable[[Vault, stored.Slot], object] | None = None,
    passphrase_cost: int = gocryptfs.PASSPHRASE_LOG_N,
) -> Vault:
    """Create an empty vault in the principal's directory `home`, with the slot `first` (by default a passphrase slot).

    Its secret is the first line read from `secret_fd`; a try of a passphrase costs 2^`passphrase_cost` KiB. `complete`
    is called with the vault and that slot before the vault gets its name. Raises CannotCreate and what `complete`
    raises, and then leaves nothing behind.
    """
    vault = Vault(name=name, path=os.path.join(home, name))
    made_of = {"id": vault_id or new_id()}
    build(vault, fingerprint, secret_fd, first or passphrase_slot(fingerprint), made_of, complete, passphrase_cost)
    return vault


def build(
    vault: Vault,
    fingerprint: str,
    secret_fd: int,
    first: stored.Slot,
    about: dict[str, str],
    complete: Callable[[Vault, stored.Slot], object] | None = None,
    passphrase_cost: int = gocryptfs.PASSPHRASE_LOG_N,
) -> None:
    """The same at the path of `vault`; `about` is added to vault.toml, and has its id."""
    name, home = vault.name, os.path.dirname(vault.path)
    if os.path.lexists(vault.path):
        raise _taken(name)
    staged = Vault(name=name, path=files.staged_name(vault.path))
    try:
        made = _fill(staged, fingerprint, secret_fd, first, about, passphrase_cost)
        if complete:
            complete(staged, made)
        os.rename(staged.path, vault.path)
        files.sync(home)
    except ValueError as error:
        raise CannotCreate("the project could not be created: gocryptfs made a config that is unknown here") from error
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY):  # created since the check above; rename(2) returns either
            raise _taken(name) from error
        raise CannotCreate("the project could not be created", error.strerror) from error
    finally:
        walk.remove(staged.path)


def passphrase_slot(fingerprint: str, principal: str = "") -> stored.Slot:
    """A new slot for a passphrase, made by who logged in with that key."""
    return stored.Slot(
        name=FIRST_SLOT,
        kind=stored.Kind.PASSPHRASE,
        label="passphrase",
        created=utc_now(),
        fingerprint=fingerprint,
        id=os.urandom(8).hex(),
        principal=principal,
    )


def _fill(
    vault: Vault, fingerprint: str, secret_fd: int, first: stored.Slot, about: dict[str, str], passphrase_cost: int
) -> stored.Slot:
    for path in (vault.path, vault.cipher, vault.slots):
        os.mkdir(path, 0o700)
    log_n = passphrase_cost if first.kind is stored.Kind.PASSPHRASE else gocryptfs.STRONG_LOG_N
    gocryptfs.create(vault.cipher, stored.config_path(vault.slots, first.name), secret_fd, log_n)
    metadata: dict[str, toml.Value] = {
        "format": store.FORMAT,
        "created": utc_now(),
        "owner": fingerprint,
        **about,
    }
    _write(vault.metadata, toml.dump(metadata))
    made = change.describe(vault, first)
    _write(vault.lock, "")
    for directory, _, names in os.walk(vault.path):
        for entry in (*names, "."):
            files.sync(os.path.join(directory, entry))
    return made


def _write(path: str, text: str) -> None:
    with open(path, "x", encoding="utf-8") as file:
        file.write(text)


def _taken(name: Named) -> CannotCreate:
    return CannotCreate(f"you already have a project {name}")


def remove(home: str, vault: Vault, holder: LeaseHolder) -> str:
    """Move a locked vault to the trash, and return its new path. Raises Busy if it is unlocked, Misconfigured."""
    fd = lease.acquire(vault, holder)
    try:
        return into_trash(home, vault)
    except OSError as error:
        raise damage.error(vault.name, "it cannot be moved to the trash", "tell your sysadmin", error) from error
    finally:
        lease.release(fd)


def into_trash(home: str, vault: Vault) -> str:
    """Move a vault, whose lease the caller has, to the trash under its name; its new path. Raises OSError."""
    trash = os.path.join(home, TRASH)
    os.makedirs(trash, 0o700, exist_ok=True)
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    target = os.path.join(trash, f"{vault.name}-{stamp}-{os.urandom(2).hex()}")
    os.rename(vault.path, target)
    files.sync(home)
    return target


def rename(home: str, vault: Vault, new: ProjectName, holder: LeaseHolder) -> None:
    """Rename a locked vault. The caller holds the creation lock. Raises Busy, CannotCreate, Misconfigured."""
    if os.path.lexists(target := os.path.join(home, new)):
        raise _taken(new)
    fd = lease.acquire(vault, holder)
    try:
        os.rename(vault.path, target)
        files.sync(home)
    except OSError as error:
        raise damage.error(vault.name, "it cannot be renamed", "tell your sysadmin", error) from error
    finally:
        lease.release(fd)
