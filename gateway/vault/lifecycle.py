"""Creating a vault, all or nothing, and removing one, by way of the trash."""

from __future__ import annotations

import errno
import os
import shutil
import time

from gateway.base import files, locks, toml
from gateway.base.clock import utc_now
from gateway.errors import CannotCreate
from gateway.identity.names import ProjectName, SlotName
from gateway.vault import gocryptfs, lease, slots, store
from gateway.vault.lease import Holder
from gateway.vault.store import Vault

TYPE_CHECKING = False
if TYPE_CHECKING:
    pass

FIRST_SLOT = SlotName("passphrase")
TRASH = ".trash"


def alone(home_: str) -> locks.Directory:
    """A context in which nobody else creates a vault in the principal's directory `home_`; who wants to waits."""
    return locks.Directory(home_)


def create(home_: str, name: ProjectName, fingerprint: str, secret_fd: int) -> Vault:
    """A new, empty vault with one passphrase slot; all or nothing. Raises CannotCreate."""
    final = Vault(name=name, path=os.path.join(home_, name))
    if os.path.lexists(final.path):
        raise CannotCreate(f"you already have a project {name}")
    draft = Vault(name=name, path=files.staged_name(final.path))
    try:
        _build(draft, fingerprint, secret_fd)
        os.rename(draft.path, final.path)
        files.sync(home_)
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY):  # made since we looked; rename(2) says either
            raise CannotCreate(f"you already have a project {name}") from error
        raise CannotCreate("the project could not be created", error.strerror) from error
    finally:
        shutil.rmtree(draft.path, ignore_errors=True)
    return final


def _build(vault: Vault, fingerprint: str, secret_fd: int) -> None:
    for path in (vault.path, vault.cipher, vault.slots):
        os.mkdir(path, 0o700)
    gocryptfs.create(vault.cipher, slots.config_path(vault.slots, FIRST_SLOT), secret_fd)
    slot = slots.Slot(
        name=FIRST_SLOT, kind=slots.Kind.PASSPHRASE, label="passphrase", created=utc_now(), fingerprint=fingerprint
    )
    _write(slots.description_path(vault.slots, FIRST_SLOT), slot.dump())
    about: dict[str, toml.Value] = {
        "format": store.FORMAT,
        "id": os.urandom(8).hex(),
        "created": utc_now(),
        "owner": fingerprint,
    }
    _write(vault.metadata, toml.dump(about))
    _write(vault.lock, "")
    for directory, _, names in os.walk(vault.path):
        for entry in (*names, "."):
            files.sync(os.path.join(directory, entry))


def _write(path: str, text: str) -> None:
    with open(path, "x", encoding="utf-8") as file:
        file.write(text)


def remove(home_: str, vault: Vault, holder: Holder) -> str:
    """Move a locked vault to the trash; where it is now. Raises Busy while it is unlocked."""
    fd = lease.hold(vault, holder)
    try:
        trash = os.path.join(home_, TRASH)
        os.makedirs(trash, 0o700, exist_ok=True)
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        target = os.path.join(trash, f"{vault.name}-{stamp}-{os.urandom(2).hex()}")
        os.rename(vault.path, target)
        files.sync(home_)
        return target
    finally:
        lease.release(fd)
