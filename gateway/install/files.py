"""Files that belong on the host: as items (see `gateway.install.items`), and what they are read and written with."""

from __future__ import annotations

import difflib
import os
import shutil
import stat

from gateway.base import files


class File:
    """A file of root's with this text."""

    mode = 0o644

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.text = text

    def missing(self) -> str:
        there = read(self.path)
        if there == self.text:
            return "" if self._guarded() else f"+ {self.path} {self.mode:04o} root"
        return diff(self.path, there, self.text)

    def _guarded(self) -> bool:
        found = os.lstat(self.path)
        return stat.S_ISREG(found.st_mode) and (stat.S_IMODE(found.st_mode), found.st_uid) == (self.mode, 0)

    def apply(self) -> None:
        if self.missing():
            write(self.path, self.text, self.mode)

    def present(self) -> str:
        return diff(self.path, read(self.path), None)

    def remove(self) -> None:
        if os.path.lexists(self.path):
            os.unlink(self.path)


class Seed(File):
    """A file that is the sysadmin's from the moment it is there. What was written into it is kept when we go."""

    def __init__(self, path: str, text: str, kept: str) -> None:
        super().__init__(path, text)
        self._kept = os.path.join(kept, os.path.basename(path))

    def missing(self) -> str:
        return "" if os.path.lexists(self.path) else super().missing()

    def present(self) -> str:
        there = read(self.path)
        if there is None or there == self.text:
            return super().present()
        return f"- {self.path}, kept as {self._kept}"

    def remove(self) -> None:
        if read(self.path) in (None, self.text):
            super().remove()
        else:
            move(self.path, self._kept)


class Grown:
    """A file that only use makes, such as the audit log: kept when we go."""

    def __init__(self, path: str, kept: str) -> None:
        self._path = path
        self._kept = os.path.join(kept, os.path.basename(path))

    def missing(self) -> str:
        return ""

    def apply(self) -> None:
        return

    def present(self) -> str:
        return f"- {self._path}, kept as {self._kept}" if os.path.lexists(self._path) else ""

    def remove(self) -> None:
        if os.path.lexists(self._path):
            move(self._path, self._kept)


class Link:
    """A symbolic link."""

    def __init__(self, path: str, target: str) -> None:
        self._path = path
        self._target = target

    def missing(self) -> str:
        fits = os.path.islink(self._path) and os.readlink(self._path) == self._target
        return "" if fits else f"+ {self._path} -> {self._target}"

    def apply(self) -> None:
        if self.missing():
            os.makedirs(os.path.dirname(self._path), exist_ok=True)
            if os.path.lexists(self._path):
                os.unlink(self._path)
            os.symlink(self._target, self._path)

    def present(self) -> str:
        return f"- {self._path} -> {self._target}" if os.path.islink(self._path) else ""

    def remove(self) -> None:
        if os.path.islink(self._path):
            os.unlink(self._path)


def diff(path: str, before: str | None, after: str | None) -> str:
    """A unified diff of a file's text; None is no file."""
    if before == after:
        return ""
    old, new = ("/dev/null" if before is None else path), ("/dev/null" if after is None else path)
    lines = difflib.unified_diff((before or "").splitlines(), (after or "").splitlines(), old, new, lineterm="")
    return "\n".join(lines) or f"--- {old}\n+++ {new}"  # an empty file has no lines to show


def read(path: str) -> str | None:
    """The text of a file, None when there is none."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        return None


def write(path: str, text: str, mode: int) -> None:
    """The file with this text, at once as a whole, in a directory that is made if it is missing."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    files.replace(path, text, mode)


def move(path: str, to: str) -> None:
    """Move a file to where what people wrote is kept, across file systems as well."""
    os.makedirs(os.path.dirname(to), exist_ok=True)
    os.chmod(os.path.dirname(to), 0o700)
    shutil.move(path, to)
