"""Clearing away what a crash left behind, and trash past its age. Never anything that is alive.

Several may sweep at once, and what they look at may be finished or removed at any moment: a path that is gone is no
error. Ages are by the wall clock, for they outlive a boot.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time

from gateway import sessions
from gateway.names import SessionId
from gateway.vaultmaking import DRAFT, TRASH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

STALE_DRAFT = 3600
"""Seconds after which what is still being made has lost its maker: making a vault or session takes about a second."""
_DAY = 86400


def sweep(vaults_root: str, run: str, trash_days: int) -> dict[str, int]:
    """Remove dead sessions, half-made vaults and old trash; how many of each."""
    root = sessions.directory(run)
    dead = [path for path in _entries(root) if SessionId.accepts(os.path.basename(path)) and sessions.sweep(path)]
    counted = {"sessions": len(dead) + _remove(_older(_drafts(root), STALE_DRAFT)), "drafts": 0, "trash": 0}
    for home in _entries(vaults_root):
        for kind, number in sweep_home(home, trash_days).items():
            counted[kind] += number
    return counted


def sweep_home(home: str, trash_days: int) -> dict[str, int]:
    """The same for one principal's directory."""
    return {
        "drafts": _remove(_older(_drafts(home), STALE_DRAFT)),
        "trash": _remove(_older(_entries(os.path.join(home, TRASH)), trash_days * _DAY)),
    }


def _entries(directory: str) -> Iterator[str]:
    try:
        names = os.listdir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return
    yield from (os.path.join(directory, name) for name in names)


def _drafts(directory: str) -> Iterator[str]:
    """Vaults and sessions that are being made have one prefix."""
    return (path for path in _entries(directory) if os.path.basename(path).startswith(DRAFT))


def _older(paths: Iterator[str], seconds: int) -> Iterator[str]:
    """By the time of the last rename: a directory's other times are its maker's or its user's."""
    now = time.time()
    for path in paths:
        try:
            changed = os.lstat(path).st_ctime
        except FileNotFoundError:
            continue
        if now - changed > seconds:
            yield path


def _open_all(path: str) -> None:
    """Directories that their user closed (`chmod 0` in a view is one of the ciphertext) can be removed, too."""
    with contextlib.suppress(OSError):
        os.chmod(path, 0o700)
        for directory, names, _ in os.walk(path):  # top-down: a directory is open before it is listed
            for name in names:
                inside = os.path.join(directory, name)
                if not os.path.islink(inside):
                    os.chmod(inside, 0o700)


def _remove(paths: Iterator[str]) -> int:
    """How many are gone."""
    gone = 0
    for path in paths:
        _open_all(path)
        shutil.rmtree(path, ignore_errors=True)
        gone += not os.path.lexists(path)
    return gone
