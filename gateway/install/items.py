"""Items that belong on the host. Each shows what it would change, applies it, and removes it.

`apply_preview` and `remove_preview` return a text for a person: a diff where there is text to compare, "" when nothing
would change. They change nothing. `apply` and `remove` may be called when there is nothing to do.
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
    """The interface that `setup` uses."""

    def apply_preview(self) -> str: ...

    def apply(self) -> None: ...

    def remove_preview(self) -> str: ...

    def remove(self) -> None: ...


class Account:
    """The gateway's account. It stays as long as there are vaults: a later account with the same uid would own them."""

    def __init__(self, vaults: str) -> None:
        self._vaults = vaults

    def apply_preview(self) -> str:
        return (
            ""
            if account.find()
            else f"+ account {account.NAME}, home {account.HOME}, shell {account.SHELL}, no password"
        )

    def apply(self) -> None:
        account.make()

    def remove_preview(self) -> str:
        return f"- account {account.NAME}" if account.find() and not _entries(self._vaults) else ""

    def remove(self) -> None:
        if not _entries(self._vaults):
            account.remove()


class Directory:
    """A directory, `private` to the gateway's account (mode 0700) or owned by root. It is removed only when empty."""

    def __init__(self, path: str, private: bool = False) -> None:
        self._path = path
        self._private = private
        self._mode = 0o700 if private else 0o755

    def apply_preview(self) -> str:
        return (
            ""
            if self._is_correct()
            else f"+ {self._path}/ {self._mode:04o} {account.NAME if self._private else 'root'}"
        )

    def _is_correct(self) -> bool:
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
        if not self._is_correct():
            os.makedirs(self._path, exist_ok=True)
            os.chown(self._path, *self._owner(), follow_symlinks=False)
            os.chmod(self._path, self._mode)

    def remove_preview(self) -> str:
        return f"- {self._path}/" if os.path.isdir(self._path) and not _entries(self._path) else ""

    def remove(self) -> None:
        if os.path.isdir(self._path) and not _entries(self._path):
            os.rmdir(self._path)


class RuntimeDirectory(Directory):
    """A directory that is removed with its content, once no session is live."""

    def remove_preview(self) -> str:
        return f"- {self._path}/" if os.path.isdir(self._path) else ""

    def remove(self) -> None:
        if os.path.isdir(self._path):
            shutil.rmtree(self._path)


class OpenFuse:
    """Opens /dev/fuse to the gateway's account. udev sets the mode at the next boot, so there is nothing to undo."""

    def apply_preview(self) -> str:
        return f"+ {FUSE} mode 0666" if fuse.is_restricted() else ""

    def apply(self) -> None:
        fuse.require(repair=True)

    def remove_preview(self) -> str:
        return ""

    def remove(self) -> None:
        return


class UserNamespaces:
    """An AppArmor profile that lets bubblewrap make user namespaces, where the host restricts them."""

    def apply_preview(self) -> str:
        return diff(userns.PROFILE, read(userns.PROFILE), userns.PROFILE_TEXT) if userns.needs_profile() else ""

    def apply(self) -> None:
        userns.require(repair=True)

    def remove_preview(self) -> str:
        return diff(userns.PROFILE, read(userns.PROFILE), None)

    def remove(self) -> None:
        userns.remove()


def _entries(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except FileNotFoundError:
        return []
