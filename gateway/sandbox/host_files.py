"""What sandboxes show of the host beside /usr, in a way that follows a replacement.

A bind mount holds the file that was there, not its name. When a package manager or an editor renames a new file over
it, the mount keeps the old one, and nobody can bind it again: bubblewrap fails at "Can't bind mount". So nothing is
bound by itself that can be replaced under a live session:

- a session has the directory around it, and with it what the name means at any moment (`directories`);
- a program gets a copy of a file, made when it starts (`opened`, `copies`), and a bind mount of a directory.

What is missing at that moment, or is a dangling link, is left out.
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
SHARED_FILES = ("/etc/hosts", "/etc/protocols", "/etc/services")
SHARED_DIRECTORIES = ("/etc/alternatives", "/etc/ssl/certs")
"""What programs below /usr need of the host's /etc, and everybody may read."""

_THERE = ("/usr", "/etc", "/bin", "/sbin", "/lib", "/lib32", "/lib64")
"""What every session's sandbox has."""
_OCCUPIED = ("/", "/dev", "/proc", "/tmp", paths.PROJECTS, paths.VAULTS, paths.SESSION, paths.AUDIT, paths.KEYS)  # noqa: S108
"""Where a session's sandbox has something else than the host."""
_DEV = "/.dev"
_MOST_LINKS = 40
_LARGEST = 16 << 20


def directories(wanted: Iterable[str], private: Iterable[str]) -> list[str]:
    """bwrap's words for a session that is to have each path of `wanted` as the host has it at any moment: the directory
    around it, and around each link on the way to it. A directory that holds or is below one of `private`, the gateway's
    own, is not shown for that; then the path itself is, as it is now. What we have no right to is left out.
    """
    words: list[str] = []
    shown, own = [*_THERE], [os.path.realpath(path) for path in private]
    for place in (place for path in wanted for place in steps(path)):
        around = os.path.dirname(place)
        if any(_is_in(place, one) for one in shown) or not os.access(around, os.X_OK):
            continue
        if around not in _OCCUPIED and not any(_is_in(one, around) or _is_in(around, one) for one in own):
            words += ["--ro-bind-try", around, around]
            shown.append(around)
            continue
        if target := _target(place):
            words += ["--symlink", target, place]
        elif around == "/dev" and os.path.exists(place):  # a syslog daemon's own socket; no device works below _DEV
            words += ["--ro-bind", around, _DEV, "--symlink", f"{_DEV}/{os.path.basename(place)}", place]
        else:
            words += ["--ro-bind-try", place, place]
        shown.append(place)
    return words


def linked(wanted: Iterable[str]) -> list[str]:
    """Those of `wanted` but what `directories` had to show by itself and somebody has removed on the host since: that
    cannot be bound again.
    """
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        rows = [line.split(" ", 5) for line in file]
    removed = {row[4] for row in rows if row[3].endswith("//deleted")}
    return [path for path in wanted if path.translate(_ESCAPES) not in removed]


_ESCAPES = {ord(char): f"\\{ord(char):03o}" for char in " \t\n\\"}
"""As mountinfo writes them (proc(5))."""


def steps(path: str) -> Iterator[str]:
    """The links that lead to `path`, each by its real name, and what they lead to, which need not exist."""
    at, todo, links = "/", path.split("/")[::-1], 0
    while todo:
        here = os.path.normpath(os.path.join(at, todo.pop()))
        target = _target(here) if links < _MOST_LINKS else ""
        if target:
            yield here
            links += 1
            at = "/" if target.startswith("/") else at
            todo += target.split("/")[::-1]
        else:
            at = here
    yield at


def _target(path: str) -> str:
    """What the link `path` says; "" for none, or one that is not ours to read."""
    try:
        return os.readlink(path)
    except OSError:
        return ""


def _is_in(path: str, directory: str) -> bool:
    return f"{path}/".startswith(f"{directory.rstrip('/')}/")


@contextmanager
def opened(shared: Iterable[str], made: Mapping[str, bytes]) -> Iterator[dict[str, int]]:
    """Descriptors for `copies`, to the end of the block: of the files of `shared` that are there now, and of files with
    the content of `made`. Raises OSError.
    """
    with ExitStack() as held:
        found: dict[str, int] = {}
        for path in shared:
            try:
                fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
            except OSError:
                continue
            held.callback(os.close, fd)
            about = os.fstat(fd)
            if stat.S_ISREG(about.st_mode) and about.st_size <= _LARGEST:
                found[path] = fd
        for path, content in made.items():
            found[path] = process.memory_file(content)
            held.callback(os.close, found[path])
        yield found


def copies(files: Mapping[str, int]) -> list[str]:
    """bwrap's words for a copy of each file: path to descriptor."""
    return [word for path, fd in files.items() for word in ("--ro-bind-data", str(fd), path)]
