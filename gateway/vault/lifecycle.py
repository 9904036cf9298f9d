"""Create a vault atomically, and remove one by moving it to the trash."""

from __future__ import annotations

import errno
import os
import time

from gateway.base import files, locks, toml
from gateway.base.clock import utc_now
from gateway.base.tree import walk
from gateway.errors import CannotCreate
from gateway.identity.names import ProjectName, SlotName
from gateway.vault import damage, gocryptfs, gocryptfs_config, lease, slots, store
from gateway.vault.lease import LeaseHolder
from gateway.vault.store import Vault

FIRST_SLOT = SlotName("passphrase")
TRASH = ".trash"


def creation_lock(home: str) -> locks.DirectoryLock:
    """A context in which no other process creates a vault in the principal's directory `home`; it waits for others."""
    return locks.DirectoryLock(home)


def create(home: str, name: ProjectName, fingerprint: str, secret_fd: int) -> Vault:
    """Create an empty vault with one passphrase slot in the principal's directory `home`.

    The passphrase is the first line read from `secret_fd`. Raises CannotCreate, and then leaves nothing behind.
    """
    vault = Vault(name=name, path=os.path.join(home, name))
    if os.path.lexists(vault.path):
        raise CannotCreate(f"you already have a project {name}")
    staged = Vault(name=name, path=files.staged_name(vault.path))
    try:
        _build(staged, fingerprint, secret_fd)
        os.rename(staged.path, vault.path)
        files.sync(home)
    except ValueError as error:
        raise CannotCreate("the project could not be created: gocryptfs made a config that is unknown here") from error
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY):  # created since the check above; rename(2) returns either
            raise CannotCreate(f"you already have a project {name}") from error
        raise CannotCreate("the project could not be created", error.strerror) from error
    finally:
        walk.remove(staged.path)
    return vault


def _build(vault: Vault, fingerprint: str, secret_fd: int) -> None:
    for path in (vault.path, vault.cipher, vault.slots):
        os.mkdir(path, 0o700)
    config = slots.config_path(vault.slots, FIRST_SLOT)
    gocryptfs.create(vault.cipher, config, secret_fd)
    id_ = os.urandom(8).hex()
    checked = gocryptfs_config.checked(files.read(config, gocryptfs_config.MAX_BYTES))
    slot = slots.Slot(
        name=FIRST_SLOT,
        kind=slots.Kind.PASSPHRASE,
        label="passphrase",
        created=utc_now(),
        fingerprint=fingerprint,
        binding=gocryptfs_config.binding(id_, checked),
    )
    _write(slots.description_path(vault.slots, FIRST_SLOT), slot.dump())
    metadata: dict[str, toml.Value] = {
        "format": store.FORMAT,
        "id": id_,
        "created": utc_now(),
        "owner": fingerprint,
    }
    _write(vault.metadata, toml.dump(metadata))
    _write(vault.lock, "")
    for directory, _, names in os.walk(vault.path):
        for entry in (*names, "."):
            files.sync(os.path.join(directory, entry))


def _write(path: str, text: str) -> None:
    with open(path, "x", encoding="utf-8") as file:
        file.write(text)


def remove(home: str, vault: Vault, holder: LeaseHolder) -> str:
    """Move a locked vault to the trash, and return its new path. Raises Busy if it is unlocked, Misconfigured."""
    fd = lease.acquire(vault, holder)
    try:
        trash = os.path.join(home, TRASH)
        os.makedirs(trash, 0o700, exist_ok=True)
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        target = os.path.join(trash, f"{vault.name}-{stamp}-{os.urandom(2).hex()}")
        os.rename(vault.path, target)
        files.sync(home)
        return target
    except OSError as error:
        raise damage.error(vault.name, "it cannot be moved to the trash", "tell your sysadmin", error) from error
    finally:
        lease.release(fd)
