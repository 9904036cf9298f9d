"""Things that belong on the host: each says what it would change, changes it, and takes it back.

`missing` and `present` are texts for a person, diffs where there is a text to compare, and "" when nothing is to be
done; they touch nothing. `apply` and `remove` may be called when nothing is to be done.
"""

from __future__ import annotations

import os
import shutil
import stat
from typing import Protocol

from gateway.host import account, fuse, userns
from gateway.install.files import diff, read
from gateway.sandbox.paths import FUSE


class Item(Protocol):
    """What `setup` needs of each."""

    def missing(self) -> str: ...

    def apply(self) -> None: ...

    def present(self) -> str: ...

    def remove(self) -> None: ...


class Account:
    """The gateway's account. It stays with the vaults that it owns: another account that got its number would own
    them.
    """

    def __init__(self, vaults: str) -> None:
        self._vaults = vaults

    def missing(self) -> str:
        return (
            ""
            if account.find()
            else f"+ account {account.NAME}, home {account.HOME}, shell {account.SHELL}, no password"
        )

    def apply(self) -> None:
        account.make()

    def present(self) -> str:
        return f"- account {account.NAME}" if account.find() and not _entries(self._vaults) else ""

    def remove(self) -> None:
        if not _entries(self._vaults):
            account.remove()


class Directory:
    """A directory; `private` to the gateway's account, else root's. Removed only when it is empty."""

    def __init__(self, path: str, private: bool = False) -> None:
        self._path = path
        self._private = private
        self._mode = 0o700 if private else 0o755

    def missing(self) -> str:
        return "" if self._fits() else f"+ {self._path}/ {self._mode:04o} {account.NAME if self._private else 'root'}"

    def _fits(self) -> bool:
        owner = self._owner()
        try:
            found = os.lstat(self._path)
        except FileNotFoundError:
            return False
        return stat.S_ISDIR(found.st_mode) and (
            (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) == (self._mode, *owner)
            if self._private
            else found.st_uid == 0 and not found.st_mode & 0o022
        )

    def _owner(self) -> tuple[int, int]:
        there = account.find() if self._private else None
        return (there.pw_uid, there.pw_gid) if there else (0, 0)

    def apply(self) -> None:
        if not self._fits():
            os.makedirs(self._path, exist_ok=True)
            os.chown(self._path, *self._owner(), follow_symlinks=False)
            os.chmod(self._path, self._mode)

    def present(self) -> str:
        return f"- {self._path}/" if os.path.isdir(self._path) and not _entries(self._path) else ""

    def remove(self) -> None:
        if os.path.isdir(self._path) and not _entries(self._path):
            os.rmdir(self._path)


class Scratch(Directory):
    """A directory of which nothing is worth keeping: once no session is live, it goes with what is in it."""

    def present(self) -> str:
        return f"- {self._path}/" if os.path.isdir(self._path) else ""

    def remove(self) -> None:
        if os.path.isdir(self._path):
            shutil.rmtree(self._path)


class OpenFuse:
    """/dev/fuse for the gateway's account. Its mode is udev's business from the next boot on: nothing to take back."""

    def missing(self) -> str:
        return f"+ {FUSE} mode 0666" if fuse.closed() else ""

    def apply(self) -> None:
        fuse.ready(repair=True)

    def present(self) -> str:
        return ""

    def remove(self) -> None:
        return


class UserNamespaces:
    """AppArmor's leave for bubblewrap, where it takes one."""

    def missing(self) -> str:
        return diff(userns.PROFILE, read(userns.PROFILE), userns.PROFILE_TEXT) if userns.needs_profile() else ""

    def apply(self) -> None:
        userns.ready(repair=True)

    def present(self) -> str:
        return diff(userns.PROFILE, read(userns.PROFILE), None)

    def remove(self) -> None:
        userns.remove()


def _entries(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except FileNotFoundError:
        return []
