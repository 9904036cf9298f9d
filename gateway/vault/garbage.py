"""Clearing away what a crash left behind, and trash past its age. Never anything that is alive.

Several may sweep at once, and what they look at may be finished or removed at any moment: a path that is gone is no
error.
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
    """Remove half-made vaults and old trash of all principals; how many of each."""
    counted = {"drafts": 0, "trash": 0}
    for home in _entries(vaults_root):
        for kind, number in sweep_home(home, trash_days).items():
            counted[kind] += number
    return counted


def sweep_home(home: str, trash_days: int) -> dict[str, int]:
    """The same for one principal's directory."""
    trash = os.path.join(home, TRASH)
    return {
        "drafts": _remove(files.abandoned(home)),
        "trash": _remove(path for path in _entries(trash) if files.is_older(path, trash_days * _DAY)),
    }


def _entries(directory: str) -> Iterator[str]:
    try:
        names = os.listdir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return
    yield from (os.path.join(directory, name) for name in names)


def _open_all(path: str) -> None:
    """Directories that their user closed (`chmod 0` in a view is one of the ciphertext) can be removed, too."""
    with contextlib.suppress(OSError):
        os.chmod(path, 0o700)
        for directory, names, _ in os.walk(path):  # top-down: a directory is open before it is listed
            for name in names:
                inside = os.path.join(directory, name)
                if not os.path.islink(inside):
                    os.chmod(inside, 0o700)


def _remove(paths: Iterable[str]) -> int:
    """How many are gone."""
    gone = 0
    for path in paths:
        _open_all(path)
        shutil.rmtree(path, ignore_errors=True)
        gone += not os.path.lexists(path)
    return gone
