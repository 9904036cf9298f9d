"""The copies in a directory that `enc-gateway backup` made."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from gateway.admin import output
from gateway.base import clock, text
from gateway.base.records import Record
from gateway.errors import EncError, NoSuchProject, Usage
from gateway.identity.names import Principal, ProjectName
from gateway.vault import ciphertext, copying, store
from gateway.vault.store import Vault

MARKER = "ENC-BACKUP"
"""A file that shows that a directory is a backup of ours."""
MARKER_TEXT = "Vaults of an ENC gateway. docs/recovery.md says how to open one. Made by `enc-gateway backup`.\n"

_READ = 1 << 20


class StoredCopy(Record):
    """The copy of a project at `path`: of the moment `copied` (RFC 3339, UTC; "" if that is not known)."""

    principal: str
    project: str
    path: str
    copied: str
    size: int

    def fields(self) -> dict[str, object]:
        return {name: value for name, value in self.as_dict().items() if name != "path"}


def find(directory: Path, principal: str = "") -> tuple[StoredCopy, ...]:
    """The copies in `directory`, by principal and project. Raises NoSuchProject when it is no backup."""
    if not (directory / MARKER).exists():
        raise NoSuchProject(f"{directory} is no backup of a gateway", "name a directory that `enc-gateway backup` made")
    found = []
    for whose, home in _homes(directory):
        if principal in ("", whose):
            found += [_copy(whose, home, name) for name in sorted(os.listdir(home)) if _is_copy(home / name)]
    return tuple(found)


def principals(directory: Path) -> tuple[Principal, ...]:
    """Who has a copy in `directory`."""
    return tuple(whose for whose, _ in _homes(directory))


def _homes(directory: Path) -> Iterator[tuple[Principal, Path]]:
    for home in sorted(directory.iterdir()):
        try:
            whose = Principal.of_directory(home.name)
        except Usage:
            continue
        if home.is_dir() and not home.is_symlink():
            yield whose, home


def _is_copy(path: Path) -> bool:
    try:
        ProjectName.of(path.name)
    except Usage:
        return False
    return path.is_dir() and not path.is_symlink()


def _copy(principal: Principal, home: Path, name: str) -> StoredCopy:
    at = copying.copied_at(home, name)
    return StoredCopy(
        principal=principal,
        project=name,
        path=str(home / name),
        copied=clock.utc(at) if at else "",
        size=sum(os.lstat(file).st_size for file in _regular(str(home / name))),
    )


def table(found: tuple[StoredCopy, ...]) -> str:
    prints = output.Fingerprints(one.principal for one in found)
    rows = [
        (prints.short(one.principal), one.project, text.human_size(one.size), output.when(one.copied)) for one in found
    ]
    return output.table(("PRINCIPAL", "PROJECT", "SIZE", "COPIED"), rows, "no copies")


def problems(copy: StoredCopy) -> tuple[str, ...]:
    """What is wrong with a copy, as far as that can be seen without its passphrase. Reads all of it."""
    vault = Vault(name=ProjectName.of(copy.project), path=copy.path)
    try:
        store.check(vault, is_copy=True)
    except EncError as error:
        return (error.line(),)
    return (*_missing(copy), *ciphertext.find_problems(vault), *_unreadable(copy.path))


def _missing(copy: StoredCopy) -> list[str]:
    recorded = copying.recorded(Path(copy.path).parent, copy.project)
    found = sum(len(directories) + len(names) for _, directories, names in os.walk(copy.path))
    return [f"{recorded - found} of {recorded} files and directories are missing"] if found < recorded else []


def _unreadable(path: str) -> list[str]:
    """The files below `path` that cannot be read to their end."""
    found = []
    for file in _regular(path):
        try:
            _read(file)
        except OSError as error:
            found.append(f"{ciphertext.shortened(file)}: {error.strerror}")
    return found


def _regular(path: str) -> Iterator[str]:
    """The regular files below `path`. Links are not followed."""
    for place, _, names in os.walk(path):
        files = (os.path.join(place, name) for name in names)
        yield from (file for file in files if stat.S_ISREG(os.lstat(file).st_mode))


def _read(path: str) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOATIME * (os.geteuid() == 0))
    try:
        while os.read(fd, _READ):
            continue
    finally:
        os.close(fd)
