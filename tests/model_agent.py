"""Carries out steps of the model test below a directory: one JSON list on a line of stdin, one line of JSON in answer.

    python3 model_agent.py

It runs alike on the host, in a `run` and on a mount, and imports only the standard library. An answer has what the step
returned, or the name of the error, and the whole tree after it. Names and contents are in latin-1.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import json
import os
import stat
import sys
from collections.abc import Callable

_AT_FDCWD, _EXCHANGE, _NOREPLACE = -100, 2, 1
_libc = ctypes.CDLL(None, use_errno=True)
_open: dict[str, int] = {}
"""The files that steps have left open, by a name of the test's."""


def create(path: str, mode: int, content: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    os.write(fd, content.encode("latin-1"))
    os.close(fd)
    os.chmod(path, mode)


def append(path: str, content: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_APPEND)
    os.write(fd, content.encode("latin-1"))
    os.close(fd)


def pwrite(path: str, content: str, offset: int) -> None:
    fd = os.open(path, os.O_WRONLY)
    os.pwrite(fd, content.encode("latin-1"), offset)
    os.close(fd)


def mkdir(path: str, mode: int) -> None:
    os.mkdir(path, mode)
    os.chmod(path, mode)


def exchange(one: str, other: str) -> None:
    _renameat2(one, other, _EXCHANGE)


def no_replace(one: str, other: str) -> None:
    _renameat2(one, other, _NOREPLACE)


def _renameat2(one: str, other: str, flags: int) -> None:
    if _libc.renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), flags):
        raise OSError(ctypes.get_errno(), "renameat2")


def copy_range(path: str, other: str, length: int) -> None:
    with open(path, "rb") as source, open(other, "r+b") as target:
        os.copy_file_range(source.fileno(), target.fileno(), length)


def setxattr(path: str, name: str, value: str) -> None:
    os.setxattr(path, f"user.{name}", value.encode("latin-1"), follow_symlinks=False)


def removexattr(path: str, name: str) -> None:
    os.removexattr(path, f"user.{name}", follow_symlinks=False)


def touch(path: str, nanoseconds: int) -> str:
    os.utime(path, ns=(nanoseconds, nanoseconds), follow_symlinks=False)
    return str(os.lstat(path).st_mtime_ns)


def hold(handle: str, path: str) -> None:
    _open[handle] = os.open(path, os.O_RDWR)


def held_write(handle: str, content: str, offset: int) -> None:
    os.pwrite(_open[handle], content.encode("latin-1"), offset)


def held_truncate(handle: str, size: int) -> None:
    os.ftruncate(_open[handle], size)


def held_read(handle: str) -> str:
    return os.pread(_open[handle], 1 << 20, 0).decode("latin-1")


def release(handle: str) -> None:
    os.close(_open.pop(handle))


def begin(directory: str) -> None:
    """Work in a new directory from now on."""
    for fd in _open.values():
        os.close(fd)
    _open.clear()
    os.chdir(_home)
    os.mkdir(directory, 0o755)
    os.chdir(directory)


def look(directory: str) -> None:
    """Work in a directory that is there."""
    os.chdir(os.path.join(_home, directory))


def open_all() -> None:
    """Let the owner read all that there is."""
    for directory, _, files in os.walk(os.fsencode(_home)):
        for name in files:
            path = os.path.join(directory, name)
            if not os.path.islink(path):
                os.chmod(path, 0o644)


_home = os.getcwd()
STEPS: dict[str, Callable[..., str | None]] = {
    **{"create": create, "append": append, "pwrite": pwrite, "truncate": os.truncate, "copy_range": copy_range},
    **{"mkdir": mkdir, "rmdir": os.rmdir, "unlink": os.unlink, "link": os.link, "symlink": os.symlink},
    **{"rename": os.rename, "exchange": exchange, "no_replace": no_replace, "chmod": os.chmod, "touch": touch},
    **{"setxattr": setxattr, "removexattr": removexattr},
    **{"hold": hold, "held_write": held_write, "held_truncate": held_truncate, "held_read": held_read},
    **{"release": release, "begin": begin, "look": look, "open_all": open_all},
}


def tree() -> dict[str, list[object]]:
    """Path to type and mode, size, links, digest of the content or target of a link, and attributes."""
    found: dict[str, list[object]] = {}

    def closed(error: OSError) -> None:
        found[f"{error.filename!r} cannot be listed"] = [errno.errorcode[error.errno or 0]]

    for directory, directories, files in os.walk(os.fsencode("."), onerror=closed):
        for name in (*directories, *files):
            if not name.startswith(b".fuse_hidden"):  # sshfs renames what is removed while it is open
                path = os.path.join(directory, name)
                found[path.decode("latin-1")] = _attributes(path)
    return found


def _attributes(path: bytes) -> list[object]:
    has = os.lstat(path)
    is_file = stat.S_ISREG(has.st_mode)
    values: dict[str, str] = {}
    with contextlib.suppress(OSError):
        for name in os.listxattr(path, follow_symlinks=False):
            values[name] = os.getxattr(path, name, follow_symlinks=False).decode("latin-1")
    size = 0 if stat.S_ISDIR(has.st_mode) else has.st_size
    links = has.st_nlink if is_file else 0
    return [has.st_mode, size, links, _content(path, has.st_mode), values]


def _content(path: bytes, mode: int) -> str:
    try:
        if stat.S_ISLNK(mode):
            return os.readlink(path).decode("latin-1")
        if stat.S_ISREG(mode):
            with open(path, "rb") as file:
                return hashlib.sha256(file.read()).hexdigest()
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return ""


def main() -> None:
    os.umask(0o022)
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        try:
            outcome = STEPS[name](*arguments)
        except OSError as error:
            outcome = errno.errorcode.get(error.errno or 0, str(error.errno))
        print(json.dumps([outcome, tree()]), flush=True)


if __name__ == "__main__":
    main()
