"""What a principal removed: listed, brought back, deleted for good. `gateway.vault.garbage` deletes it by its age."""

from __future__ import annotations

import os

from gateway.base import files
from gateway.base.records import Record
from gateway.base.tree import walk
from gateway.errors import CannotCreate, Misconfigured, NoSuchProject, of_storage
from gateway.identity.names import ProjectName
from gateway.vault.lifecycle import TRASH

_STAMP_LENGTH = 16
"""Of 20240131T120000Z, as `gateway.vault.lifecycle.remove` writes it."""


class Trashed(Record):
    """A removed project. `removed` is UTC in RFC 3339, to the second."""

    project: ProjectName
    removed: str
    path: str


def names_in(home: str) -> tuple[Trashed, ...]:
    """What is in the trash of the principal's directory `home`, by name, the latest first. Raises Misconfigured."""
    trash = os.path.join(home, TRASH)
    try:
        entries = os.listdir(trash)
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise of_storage(error, "the trash cannot be read") from error
    found = [one for entry in entries if (one := _parsed(trash, entry))]
    found.sort(key=lambda one: one.removed, reverse=True)
    return tuple(sorted(found, key=lambda one: one.project))


def _parsed(trash: str, entry: str) -> Trashed | None:
    parts = entry.rsplit("-", 2)
    path = os.path.join(trash, entry)
    if len(parts) != 3 or not ProjectName.accepts(parts[0]) or os.path.islink(path) or not os.path.isdir(path):
        return None
    stamp = parts[1]
    if len(stamp) != _STAMP_LENGTH or not (stamp[:8] + stamp[9:15]).isdigit():
        return None
    date, clock = f"{stamp[:4]}-{stamp[4:6]}-{stamp[6:8]}", f"{stamp[9:11]}:{stamp[11:13]}:{stamp[13:15]}"
    return Trashed(project=ProjectName(parts[0]), removed=f"{date}T{clock}Z", path=path)


def find(home: str, name: ProjectName) -> tuple[Trashed, ...]:
    """What was removed under that name, the latest first. Raises NoSuchProject."""
    found = tuple(one for one in names_in(home) if one.project == name)
    if not found:
        raise NoSuchProject(f"there is no {name} in your trash", "`trash` lists what is")
    return found


def restore(home: str, one: Trashed) -> None:
    """Give it its name again. The caller holds the creation lock. Raises CannotCreate."""
    target = os.path.join(home, one.project)
    if os.path.lexists(target):
        raise CannotCreate(f"you already have a project {one.project}", f"rename it first: mv {one.project} NAME")
    try:
        os.rename(one.path, target)
        files.sync(home)
    except OSError as error:
        raise CannotCreate(f"{one.project} could not be restored", error.strerror) from error


def delete(one: Trashed) -> None:
    """Delete it for good. Raises Misconfigured."""
    if error := walk.remove(one.path):
        raise Misconfigured(f"{one.project} could not be deleted", error.strerror)
