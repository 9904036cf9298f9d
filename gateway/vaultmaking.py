"""Creating a vault, all or nothing, and removing one, by way of the trash."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import time
from contextlib import contextmanager

from gateway import drafts, gocryptfs, plaintoml, slots, vaults
from gateway.errors import CannotCreate
from gateway.names import ProjectName, SlotName

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

FIRST_SLOT = SlotName("passphrase")
TRASH = ".trash"


@contextmanager
def alone(home_: str) -> Iterator[None]:
    """Nobody else creates a vault in the principal's directory `home_` meanwhile, who waits here as well."""
    fd = os.open(home_, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def create(home_: str, name: ProjectName, fingerprint: str, secret_fd: int) -> vaults.Vault:
    """A new, empty vault with one passphrase slot; all or nothing. Raises CannotCreate."""
    final = vaults.Vault(name=name, path=os.path.join(home_, name))
    if os.path.lexists(final.path):
        raise CannotCreate(f"you already have a project {name}")
    draft = vaults.Vault(name=name, path=os.path.join(home_, f"{drafts.PREFIX}{name}-{os.urandom(4).hex()}"))
    try:
        _build(draft, fingerprint, secret_fd)
        os.rename(draft.path, final.path)
        _fsync(home_)
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY):  # made since we looked; rename(2) says either
            raise CannotCreate(f"you already have a project {name}") from error
        raise CannotCreate("the project could not be created", error.strerror) from error
    finally:
        shutil.rmtree(draft.path, ignore_errors=True)
    return final


def _build(vault: vaults.Vault, fingerprint: str, secret_fd: int) -> None:
    for path in (vault.path, vault.cipher, vault.slots):
        os.mkdir(path, 0o700)
    gocryptfs.create(vault.cipher, slots.config_path(vault.slots, FIRST_SLOT), secret_fd)
    slot = slots.Slot(
        name=FIRST_SLOT, kind=slots.Kind.PASSPHRASE, label="passphrase", created=vaults.now(), fingerprint=fingerprint
    )
    _write(slots.description_path(vault.slots, FIRST_SLOT), slot.dump())
    about: dict[str, plaintoml.Value] = {
        "format": vaults.FORMAT,
        "id": os.urandom(8).hex(),
        "created": vaults.now(),
        "owner": fingerprint,
    }
    _write(vault.metadata, plaintoml.dump(about))
    _write(vault.lock, "")
    for directory, _, files in os.walk(vault.path):
        for entry in (*files, "."):
            _fsync(os.path.join(directory, entry))


def _write(path: str, text: str) -> None:
    with open(path, "x", encoding="utf-8") as file:
        file.write(text)


def _fsync(path: str) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def remove(home_: str, vault: vaults.Vault, holder: vaults.Holder) -> str:
    """Move a locked vault to the trash; where it is now. Raises Busy while it is unlocked."""
    fd = vaults.hold(vault, holder)
    try:
        trash = os.path.join(home_, TRASH)
        os.makedirs(trash, 0o700, exist_ok=True)
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        target = os.path.join(trash, f"{vault.name}-{stamp}-{os.urandom(2).hex()}")
        os.rename(vault.path, target)
        _fsync(home_)
        return target
    finally:
        vaults.release(fd)
