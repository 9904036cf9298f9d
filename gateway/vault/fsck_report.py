"""What `gocryptfs -fsck` says, and what of it is damage.

gocryptfs counts as corrupt whatever it could not read. A path that is too long for it, or a disk that fails, is no
damage to the project: a backup would not mend it.
"""

from __future__ import annotations

import os
import stat

from gateway.base.records import Record
from gateway.base.tree.descent import Descent
from gateway.base.tree.walk import walk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.vault.store import Vault

_PREFIX = "fsck: "
_NOT_DAMAGE = (
    *("permission denied", "operation not permitted", "file name too long"),
    *("too many open files", "too many open files in system", "cannot allocate memory", "stale NFS file handle"),
)
"""The ends of lines that tell what kept gocryptfs from reading, in Go's words for errno."""

_PERHAPS_DAMAGE = "input/output error"
"""What a file system of gocryptfs answers for a block that was changed, and a disk for one that it cannot read."""
_CHUNK = 1 << 20


class Report(Record):
    """The problems, in gocryptfs's words with decrypted names: `damage`, and what could not be read (`unread`).

    `disk` is whether the disk has to be asked which it is (`unreadable`).
    """

    damage: tuple[str, ...]
    unread: tuple[str, ...]
    disk: bool


def parse(said: str) -> Report:
    """The report in gocryptfs's output."""
    lines = [line.removeprefix(_PREFIX) for line in said.splitlines() if line.startswith(_PREFIX)]
    unread = tuple(line for line in lines if line.endswith(_NOT_DAMAGE))
    damage = tuple(line for line in lines if line not in unread)
    return Report(damage=damage, unread=unread, disk=any(line.endswith(_PERHAPS_DAMAGE) for line in damage))


def unreadable(vault: Vault, between: Callable[[], object]) -> int:
    """How many files and directories of the ciphertext the disk does not let us read. Calls `between` after each MiB.

    Raises OSError when there is no ciphertext, and what `between` raises.
    """
    failed = 0

    def note(_name: str, _error: OSError) -> None:
        nonlocal failed
        failed += 1

    descent = Descent(vault.cipher)
    try:
        for entries in walk(descent, note):
            for name in (name for name, found in entries.items() if stat.S_ISREG(found.st_mode)):
                try:
                    _read(descent, name, between)
                except OSError:
                    failed += 1
    finally:
        descent.close()
    return failed


def _read(descent: Descent, name: str, between: Callable[[], object]) -> None:
    fd = descent.open_file(name)
    try:
        while os.read(fd, _CHUNK):
            between()
    finally:
        os.close(fd)
