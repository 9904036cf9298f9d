"""Tell a damaged vault from trouble of the host: only the first is repaired by a backup."""

from __future__ import annotations

import errno

from gateway.base import files
from gateway.errors import DamagedVault, EncError, Misconfigured, is_storage_lost, of_storage

_MISSING = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP)


def error(name: str, problem: str, hint: str, fault: Exception) -> EncError:
    """The error for a part of the vault of project `name` that could not be read or written.

    A part that is missing, is no file or directory as it should be, or does not hold what it should, is damage
    (`problem` in words, and `hint`). A disk that fails, is full or read-only, and a host without descriptors or memory
    is not.
    """
    if not isinstance(fault, OSError) or isinstance(fault, files.Irregular) or fault.errno in _MISSING:
        return DamagedVault(f"{name} is damaged: {problem}", hint)
    if is_storage_lost(fault):
        return of_storage(fault)
    return Misconfigured(
        f"the gateway's disk or host does not let {name} be opened: {fault.strerror}", "tell your sysadmin"
    )
