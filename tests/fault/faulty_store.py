"""A disk that fails on demand: a FUSE file system that passes through to a directory, until it is told otherwise.

`python faulty_store.py BACKING MOUNTPOINT SWITCH` serves in the foreground. The file SWITCH holds one word: `ok`,
`ENOSPC`, `EIO` or `EROFS`, with which whatever writes fails, `unread`: then what lies behind the first 64 KiB of a file
cannot be read, `hang`: then data that is written is not answered for
until the word is another one, or `deaf`: then what asks for names and attributes is not; `lost ESHUTDOWN`: then
everything fails with that. Never all of it: closing a
file on a disk that hangs altogether holds up an exec(2) in the kernel, and with it every `ps` on the machine. Nor does
anything hang for longer than LONGEST, whatever becomes of the test.
"""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import fuse

_WRITES = ("create", "mkdir", "write", "truncate", "symlink", "link", "fsync", "setxattr")
_HUNG = {"hang": ("write", "fsync"), "deaf": ("getattr", "open", "readdir", "statfs", "create")}
LONGEST = 60.0
"""Seconds."""


class Store(fuse.Operations):  # type: ignore[misc]
    """What gocryptfs asks of a disk. Files belong to whoever makes them, as on any disk."""

    def __init__(self, backing: Path, switch: Path) -> None:
        self._root = str(backing)
        self._switch = switch

    def __call__(self, name: str, path: str, *arguments: object) -> object:
        word = self._switch.read_text()
        if word in _HUNG:
            word = self._hang(word) if name in _HUNG[word] else "ok"
        lost, _, number = word.partition(" ")
        if lost == "lost" and name not in ("init", "destroy", "release", "flush"):
            raise fuse.FuseOSError(getattr(errno, number))
        if name in _WRITES and lost != "lost" and word not in ("ok", "unread"):
            raise fuse.FuseOSError(getattr(errno, word))
        if not hasattr(self, name):
            raise fuse.FuseOSError(errno.ENOSYS)
        operation: Callable[..., object] = getattr(self, name)
        try:
            return operation(path, *arguments)
        except OSError as error:
            raise fuse.FuseOSError(error.errno or errno.EIO) from error

    def _hang(self, how: str) -> str:
        """Until the switch says something else: that. Meanwhile there is a file `hanging` beside the switch."""
        self._switch.with_name("hanging").touch()
        until = time.monotonic() + LONGEST
        while time.monotonic() < until:
            if (word := self._switch.read_text()) != how:
                return word
            time.sleep(0.05)
        return "EIO"

    def _at(self, path: str) -> str:
        return self._root + path

    def _give(self, path: str) -> None:
        uid, gid, _ = fuse.fuse_get_context()
        os.lchown(self._at(path), uid, gid)

    def getattr(self, path: str, fh: int | None = None) -> dict[str, object]:
        found = os.lstat(self._at(path))
        names = ("st_mode", "st_nlink", "st_uid", "st_gid", "st_size", "st_atime", "st_mtime", "st_ctime", "st_blocks")
        return {name: getattr(found, name) for name in names}

    def readdir(self, path: str, fh: int) -> list[str]:
        return [".", "..", *os.listdir(self._at(path))]

    def statfs(self, path: str) -> dict[str, int]:
        found = os.statvfs(self._at(path))
        names = (
            "f_bavail",
            "f_bfree",
            "f_blocks",
            "f_bsize",
            "f_favail",
            "f_ffree",
            "f_files",
            "f_frsize",
            "f_namemax",
        )
        return {name: getattr(found, name) for name in names}

    def create(self, path: str, mode: int, fi: object = None) -> int:
        fd = os.open(self._at(path), os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)
        self._give(path)
        return fd

    def mkdir(self, path: str, mode: int) -> None:
        os.mkdir(self._at(path), mode)
        self._give(path)

    def symlink(self, path: str, source: str) -> None:
        os.symlink(source, self._at(path))
        self._give(path)

    def link(self, path: str, source: str) -> None:
        os.link(self._at(source), self._at(path))

    def open(self, path: str, flags: int) -> int:
        return os.open(self._at(path), flags & ~(os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW))

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        if offset >= 1 << 16 and self._switch.read_text() == "unread":
            raise OSError(errno.EIO, "a bad sector")
        return os.pread(fh, size, offset)

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        return os.pwrite(fh, data, offset)

    def truncate(self, path: str, length: int, fh: int | None = None) -> None:
        os.truncate(self._at(path) if fh is None else fh, length)

    def fsync(self, path: str, datasync: int, fh: int) -> None:
        os.fsync(fh)

    def flush(self, path: str, fh: int) -> None:
        return

    def release(self, path: str, fh: int) -> None:
        os.close(fh)

    def unlink(self, path: str) -> None:
        os.unlink(self._at(path))

    def rmdir(self, path: str) -> None:
        os.rmdir(self._at(path))

    def rename(self, old: str, new: str) -> None:
        os.rename(self._at(old), self._at(new))

    def chmod(self, path: str, mode: int) -> None:
        os.chmod(self._at(path), mode)

    def chown(self, path: str, uid: int, gid: int) -> None:
        os.lchown(self._at(path), uid, gid)

    def utimens(self, path: str, times: tuple[float, float] | None = None) -> None:
        os.utime(self._at(path), times, follow_symlinks=False)


if __name__ == "__main__":
    backing, mountpoint, switch = map(Path, sys.argv[1:])
    fuse.FUSE(
        Store(backing, switch), str(mountpoint), foreground=True, allow_other=True, default_permissions=True, dev=False
    )
