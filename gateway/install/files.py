"""Items (`gateway.install.items`) that are files, and the functions that read and write them."""

from __future__ import annotations

import difflib
import os
import shutil
import stat

from gateway.base import files


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
    """A file that the running gateway makes, such as the audit log. setup does not make it; removal keeps it."""

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
            move(self._path, self._kept)


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
    old, new = ("/dev/null" if before is None else path), ("/dev/null" if after is None else path)
    lines = difflib.unified_diff((before or "").splitlines(), (after or "").splitlines(), old, new, lineterm="")
    return "\n".join(lines) or f"--- {old}\n+++ {new}"  # an empty file has no lines to show


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
    os.makedirs(os.path.dirname(to), exist_ok=True)
    os.chmod(os.path.dirname(to), 0o700)
    shutil.move(path, to)
