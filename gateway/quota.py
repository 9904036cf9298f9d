"""How much disk a principal's vaults may take, and do take: those in the trash and those being made as well."""

from __future__ import annotations

from gateway import vaults
from gateway.errors import CannotCreate
from gateway.names import ProjectName

MEBI = 1 << 20
_SECONDS = 5.0
"""For counting."""


def count(home: str) -> tuple[int, bool]:
    """Bytes on disk of everything in a principal's directory, and whether there was time to count all of it."""
    return vaults.size(vaults.Vault(name=_ALL, path=home), _SECONDS)


def used(home: str) -> int:
    """Those bytes; what could not be counted in time is not held against anybody."""
    return count(home)[0]


_ALL = ProjectName("all")


def require_room(home: str, mebibytes: int) -> None:
    """Raise CannotCreate when the quota (0: none) is used up."""
    if mebibytes and used(home) >= mebibytes * MEBI:
        raise CannotCreate(
            f"your projects take all of the {mebibytes} MiB that they may", "delete something, or ask your sysadmin"
        )
