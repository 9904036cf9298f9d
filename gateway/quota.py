"""How much disk a principal's vaults may take, and do take: those in the trash and those being made as well."""

from __future__ import annotations

from gateway import vaults
from gateway.errors import CannotCreate
from gateway.names import ProjectName

MEBI = 1 << 20
_SECONDS = 5.0
"""For counting. What is not counted then is not held against anybody."""


def used(home: str) -> int:
    """Bytes on disk of everything in a principal's directory."""
    return vaults.size(vaults.Vault(name=_ALL, path=home), _SECONDS)[0]


_ALL = ProjectName("all")


def require_room(home: str, mebibytes: int) -> None:
    """Raise CannotCreate when the quota (0: none) is used up."""
    if mebibytes and used(home) >= mebibytes * MEBI:
        raise CannotCreate(
            f"your projects take all of the {mebibytes} MiB that they may", "delete something, or ask your sysadmin"
        )
