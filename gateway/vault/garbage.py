"""Garbage collection: remove vaults whose creation was interrupted, and removed vaults past their age.

Several processes may do this at the same time, and a path may be renamed or removed meanwhile. So a path that is gone
is not an error.
"""

from __future__ import annotations

import contextlib
import os
import shutil

from gateway.base import files
from gateway.vault.lifecycle import TRASH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_DAY = 86400


def sweep(vaults_root: str, trash_days: int) -> dict[str, int]:
    """Collect the garbage of all principals. Returns how many staged vaults ("drafts"), trashed vaults, and staged
    files of vaults it removed.

    `trash_days` is the age at which a removed vault is deleted.
    """
    counted = {"drafts": 0, "trash": 0, "staged": 0}
    for home in _entries(vaults_root):
        for kind, number in sweep_home(home, trash_days).items():
            counted[kind] += number
    return counted


def sweep_home(home: str, trash_days: int) -> dict[str, int]:
    """Collect the garbage in one principal's directory `home`."""
    trash = os.path.join(home, TRASH)
    return {
        "drafts": _remove(files.abandoned(home)),
        "trash": _remove(path for path in _entries(trash) if files.is_older(path, trash_days * _DAY)),
        "staged": sum(map(files.remove_abandoned, _entries(home))),
    }


def _entries(directory: str) -> Iterator[str]:
    try:
        names = os.listdir(directory)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return
    yield from (os.path.join(directory, name) for name in names)


def _make_removable(path: str) -> None:
    """Give us access to all directories below `path`: `chmod 0` in a view is a chmod of the ciphertext."""
    with contextlib.suppress(OSError):
        os.chmod(path, 0o700)
        for directory, names, _ in os.walk(path):  # top-down: a directory is accessible before it is listed
            for name in names:
                inside = os.path.join(directory, name)
                if not os.path.islink(inside):
                    os.chmod(inside, 0o700)


def _remove(paths: Iterable[str]) -> int:
    """Remove `paths`. Returns how many are gone."""
    gone = 0
    for path in paths:
        _make_removable(path)
        shutil.rmtree(path, ignore_errors=True)
        gone += not os.path.lexists(path)
    return gone
