"""Garbage collection: remove vaults whose creation or rekeying was interrupted, and removed vaults past their age.

Several processes may do this at the same time, and a path may be renamed or removed meanwhile. So a path that is gone
is not an error. What cannot be removed is told, and nothing else waits for it.
"""

from __future__ import annotations

import os

from gateway.base import files
from gateway.base.records import Record
from gateway.base.tree.walk import remove
from gateway.vault import rekey
from gateway.vault.lifecycle import TRASH
from gateway.vault.slots.change import DRAFT
from gateway.vault.store import HEARTBEATS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_DAY = 86400


class Removed(Record):
    """How many staged vaults (`drafts`), trashed vaults and staged files of vaults (with what sessions left that have
    ended) were removed, and in `problems` each path that could not be, with the reason.
    """

    drafts: int = 0
    trash: int = 0
    staged: int = 0
    problems: tuple[str, ...] = ()


def sweep(vaults_root: str, trash_days: int) -> Removed:
    """Collect the garbage of all principals. `trash_days` is the age at which a removed vault is deleted."""
    problems: list[str] = []
    each = [sweep_home(home, trash_days) for home in _entries(vaults_root, problems)]
    return Removed(
        drafts=sum(one.drafts for one in each),
        trash=sum(one.trash for one in each),
        staged=sum(one.staged for one in each),
        problems=(*problems, *(problem for one in each for problem in one.problems)),
    )


def sweep_home(home: str, trash_days: int) -> Removed:
    """Collect the garbage in one principal's directory `home`. Raises nothing: a user's `new` does this first."""
    problems: list[str] = []
    old = (path for path in _entries(os.path.join(home, TRASH), problems) if _is_old(path, trash_days, problems))
    ended = (path for path in _entries(os.path.join(home, HEARTBEATS), problems) if _is_old(path, 1, problems))
    return Removed(
        drafts=_remove(_abandoned(home, problems), problems) + _clear_rekeyings(home, problems),
        trash=_remove(old, problems),
        staged=sum(map(files.remove_abandoned, _entries(home, problems)))
        + sum(_remove(_drafts(vault), problems) for vault in _entries(home, problems))
        + _remove(ended, problems),
        problems=tuple(dict.fromkeys(problems)),
    )


def _entries(directory: str, problems: list[str]) -> Iterator[str]:
    try:
        names = os.listdir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        problems.append(f"{directory}: {error.strerror}")
        return
    yield from (os.path.join(directory, name) for name in names)


def _abandoned(home: str, problems: list[str]) -> tuple[str, ...]:
    try:
        return files.abandoned(home)
    except OSError as error:
        problems.append(f"{home}: {error.strerror}")
        return ()


def _clear_rekeyings(home: str, problems: list[str]) -> int:
    """How many drafts of rekeyings were removed. A vault that one has replaced already goes to the trash."""
    removed = 0
    try:
        for path, was_removed, problem in rekey.clear(home):
            removed += was_removed
            if problem:
                problems.append(f"{path}: {problem}")
    except (FileNotFoundError, NotADirectoryError):
        return removed
    except OSError as error:
        problems.append(f"{home}: {error.strerror}")
    return removed


def _drafts(vault: str) -> Iterator[str]:
    """Drafts of the slots of a vault that have lost their maker. No link is followed."""
    if not os.path.islink(vault):
        yield from (path for path in files.abandoned(vault) if os.path.basename(path).startswith(DRAFT))


def _is_old(path: str, days: int, problems: list[str]) -> bool:
    try:
        return files.is_older(path, days * _DAY)
    except OSError as error:
        problems.append(f"{path}: {error.strerror}")
        return False


def _remove(paths: Iterable[str], problems: list[str]) -> int:
    """Remove `paths`. Returns how many are gone."""
    gone = 0
    for path in paths:
        if error := remove(path):
            problems.append(f"{path}: {error.strerror}")
        else:
            gone += 1
    return gone
