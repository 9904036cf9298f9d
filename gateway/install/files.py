"""Items (`gateway.install.items`) that are files, and the functions that read and write them."""

from __future__ import annotations

import difflib
import errno
import os
import shutil
import stat

from gateway.base import files
from gateway.base.text import counted
from gateway.base.tree import walk

_NO_FILE = "/dev/null"
"""In a diff: the file does not exist."""


class File:
    """A file with this text, owned by root."""

    mode = 0o644

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.text = text

    def apply_preview(self) -> str:
        there = read(self.path)
        if there == self.text:
            return "" if self._has_owner_and_mode() else f"+ {self.path} {self.mode:04o} root"
        return diff(self.path, there, self.text)

    def _has_owner_and_mode(self) -> bool:
        found = os.lstat(self.path)
        return stat.S_ISREG(found.st_mode) and (stat.S_IMODE(found.st_mode), found.st_uid) == (self.mode, 0)

    def apply(self) -> None:
        if self.apply_preview():
            write(self.path, self.text, self.mode)

    def remove_preview(self) -> str:
        return diff(self.path, read(self.path), None)

    def remove(self) -> None:
        if os.path.lexists(self.path):
            os.unlink(self.path)


class Conffile(File):
    """A file that the sysadmin edits. setup creates it but never overwrites it; removal keeps it if it was edited."""

    def __init__(self, path: str, text: str, kept_directory: str) -> None:
        super().__init__(path, text)
        self._kept = os.path.join(kept_directory, os.path.basename(path))

    def apply_preview(self) -> str:
        return "" if os.path.lexists(self.path) else super().apply_preview()

    def remove_preview(self) -> str:
        there = read(self.path)
        if there is None or there == self.text:
            return super().remove_preview()
        return f"- {self.path}, moved to {self._kept}"

    def remove(self) -> None:
        if read(self.path) in (None, self.text):
            super().remove()
        else:
            move(self.path, self._kept)


class StateFile:
    """A file that the running gateway makes, such as the audit log. setup does not make it; removal keeps it.

    It can lie in a directory of the gateway's account. What is no regular file there is removed: the gateway makes
    none, and a link would be followed by whoever reads what was kept.
    """

    def __init__(self, path: str, kept_directory: str) -> None:
        self._path = path
        self._kept = os.path.join(kept_directory, os.path.basename(path))

    def apply_preview(self) -> str:
        return ""

    def apply(self) -> None:
        return

    def remove_preview(self) -> str:
        return f"- {self._path}, moved to {self._kept}" if os.path.lexists(self._path) else ""

    def remove(self) -> None:
        if os.path.lexists(self._path):
            _move_regular(self._path, self._kept)


class Link:
    """A symbolic link."""

    def __init__(self, path: str, target: str) -> None:
        self._path = path
        self._target = target

    def apply_preview(self) -> str:
        fits = os.path.islink(self._path) and os.readlink(self._path) == self._target
        return "" if fits else f"+ {self._path} -> {self._target}"

    def apply(self) -> None:
        if self.apply_preview():
            os.makedirs(os.path.dirname(self._path), exist_ok=True)
            if os.path.lexists(self._path):
                os.unlink(self._path)
            os.symlink(self._target, self._path)

    def remove_preview(self) -> str:
        return f"- {self._path} -> {self._target}" if os.path.islink(self._path) else ""

    def remove(self) -> None:
        if os.path.islink(self._path):
            os.unlink(self._path)


def diff(path: str, before: str | None, after: str | None) -> str:
    """A unified diff of a file's text; None is no file."""
    if before == after:
        return ""
    old, new = (_NO_FILE if before is None else path), (_NO_FILE if after is None else path)
    lines = difflib.unified_diff((before or "").splitlines(), (after or "").splitlines(), old, new, lineterm="")
    return "\n".join(lines) or f"--- {old}\n+++ {new}"  # an empty file has no lines to show


def summary(change: str) -> str:
    """A change in one line: of a diff, the path and how many lines it adds and removes."""
    before, newline, rest = change.partition("\n")
    after, _, body = rest.partition("\n")
    if not newline or not before.startswith("--- ") or not after.startswith("+++ "):
        return change
    old, new = before.removeprefix("--- "), after.removeprefix("+++ ")
    lines = body.splitlines()
    added, removed = sum(line.startswith("+") for line in lines), sum(line.startswith("-") for line in lines)
    if old == _NO_FILE:
        return f"+ {new} ({counted(added, 'line')})"
    return f"- {old}" if new == _NO_FILE else f"~ {new} ({counted(added, 'line')} added, {removed} removed)"


def read(path: str) -> str | None:
    """The text of a file; None when it does not exist."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        return None


def write(path: str, text: str, mode: int) -> None:
    """Write a file atomically; its directory is created if it is missing."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    files.replace(path, text, mode)


def move(path: str, to: str) -> None:
    """Move a file, also to another file system, into a directory that is created with mode 0700."""
    _make_private(os.path.dirname(to))
    shutil.move(path, to)


def _make_private(directory: str) -> None:
    os.makedirs(directory, exist_ok=True)
    os.chmod(directory, 0o700)


def _move_regular(path: str, to: str) -> None:
    """As `move`, out of a directory that another account can write to. What is no regular file is removed instead.

    It is first renamed into our own directory, where nobody can exchange it any more.
    """
    _make_private(os.path.dirname(to))
    try:
        os.rename(path, to)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _copy_regular(path, to)
        _remove(path)
    if os.path.lexists(to) and not stat.S_ISREG(os.lstat(to).st_mode):
        _remove(to)


def _copy_regular(path: str, to: str) -> None:
    try:
        fd = files.open_regular(path)
    except files.Irregular:
        return
    with os.fdopen(fd, "rb") as source, open(to, "xb") as target:
        shutil.copyfileobj(source, target)


def _remove(path: str) -> None:
    if stat.S_ISDIR(os.lstat(path).st_mode):
        if error := walk.remove(path):
            raise error
    else:
        os.unlink(path)
