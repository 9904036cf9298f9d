"""Files and directories of the host, other than /usr, that sandboxes show: always in the version that the host has now.

A bind mount shows the file that had a name, not the name. When a package manager or an editor renames a new file over
it, the mount keeps the old one, and bubblewrap cannot bind that again ("Can't bind mount"). Then no program would start
in a live session. Therefore:

- a session binds the directory that a path is in, so that it sees what replaces the path (`directories_argv`);
- a program gets a copy of a file, made when the program starts (`opened`, `copies_argv`), or a bind of a directory.

A file that does not exist at that moment is left out.
"""

from __future__ import annotations

import os
import stat
from contextlib import ExitStack, contextmanager

from gateway.base import process
from gateway.sandbox import paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

LINKER_CACHE = "/etc/ld.so.cache"

_BOUND = ("/usr", "/etc", "/bin", "/sbin", "/lib", "/lib32", "/lib64")
"""Directories of the host that every session's sandbox has."""
_TAKEN = ("/", "/dev", "/proc", "/tmp", paths.PROJECTS, paths.VAULTS, paths.SESSION, paths.AUDIT, paths.KEYS)  # noqa: S108
"""Directories that a session's sandbox has for itself."""
_HOST_DEV = "/.dev"
_MOST_LINKS = 40
_LARGEST = 16 << 20


def directories_argv(wanted: Iterable[str], private: Iterable[str]) -> list[str]:
    """bwrap's options for a session that shows the paths `wanted`, also after the host has replaced them.

    Each path and each symbolic link on the way to it is shown by a read-only bind of the directory that it is in. If
    that directory contains or is in one of `private`, the gateway's own, or the sandbox has another in its place, the
    path is bound alone. Paths that this account may not reach are left out.
    """
    words: list[str] = []
    shown, own = [*_BOUND], [os.path.realpath(path) for path in private]
    for place in (place for path in wanted for place in steps(path)):
        directory = os.path.dirname(place)
        if any(_is_in(place, one) for one in shown) or not os.access(directory, os.X_OK):
            continue
        if directory not in _TAKEN and not any(_is_in(one, directory) or _is_in(directory, one) for one in own):
            words += ["--ro-bind-try", directory, directory]
            shown.append(directory)
            continue
        if target := _link_target(place):
            words += ["--symlink", target, place]
        elif directory == "/dev" and os.path.exists(place):  # /dev/log of a syslog daemon. This bind has no devices
            words += ["--ro-bind", directory, _HOST_DEV, "--symlink", f"{_HOST_DEV}/{os.path.basename(place)}", place]
        else:
            words += ["--ro-bind-try", place, place]
        shown.append(place)
    return words


def without_removed(wanted: Iterable[str]) -> list[str]:
    """The paths of `wanted` that can be bound again: without those that `directories_argv` bound alone and that were
    removed on the host.
    """
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape", newline="\n") as file:
        rows = [line.split(" ", 5) for line in file]
    removed = {row[4] for row in rows if row[3].endswith("//deleted")}
    return [path for path in wanted if path.translate(_ESCAPES) not in removed]


_ESCAPES = {ord(char): f"\\{ord(char):03o}" for char in " \t\n\\"}
"""How mountinfo writes these characters (proc(5))."""


def steps(path: str) -> Iterator[str]:
    """The symbolic links on the way to `path`, with the links in their directories resolved, and then the path that
    they lead to. It need not exist.
    """
    at, todo, links = "/", path.split("/")[::-1], 0
    while todo:
        here = os.path.normpath(os.path.join(at, todo.pop()))
        target = _link_target(here) if links < _MOST_LINKS else ""
        if target:
            yield here
            links += 1
            at = "/" if target.startswith("/") else at
            todo += target.split("/")[::-1]
        else:
            at = here
    yield at


def _link_target(path: str) -> str:
    """The target of the symbolic link `path`; "" if it is none or may not be read."""
    try:
        return os.readlink(path)
    except OSError:
        return ""


def _is_in(path: str, directory: str) -> bool:
    return f"{path}/".startswith(f"{directory.rstrip('/')}/")


@contextmanager
def opened(shared: Iterable[str], made: Mapping[str, bytes]) -> Iterator[dict[str, int]]:
    """Paths with descriptors, for `copies_argv`, for the block. Raises OSError.

    They are the regular files of `shared` that exist, and a file with the given content for each path of `made`.
    """
    with ExitStack() as resources:
        found: dict[str, int] = {}
        for path in shared:
            try:
                fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
            except OSError:
                continue
            resources.callback(os.close, fd)
            status = os.fstat(fd)
            if stat.S_ISREG(status.st_mode) and status.st_size <= _LARGEST:
                found[path] = fd
        for path, content in made.items():
            found[path] = process.memory_file(content)
            resources.callback(os.close, found[path])
        yield found


def copies_argv(files: Mapping[str, int]) -> list[str]:
    """bwrap's options that put a copy of each file at its path."""
    return [word for path, fd in files.items() for word in ("--ro-bind-data", str(fd), path)]
