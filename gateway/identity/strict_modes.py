"""Who else could decide who logs in: sshd's StrictModes, of authorized_keys and every directory that leads to it.

Unlike sshd, a directory in which only owners replace what is theirs (/tmp) passes: what it leads to is judged as well.
"""

from __future__ import annotations

import os
import stat

from gateway.base import privileges
from gateway.base.records import Record
from gateway.identity import key_location

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


class Weakness(Record):
    """What is wrong with a file or directory, and how to fix it."""

    problem: str
    fix: str


def examine(path: str, top: str = "/") -> Iterator[Weakness]:
    """What lets others than root, and who started us, write to `path` or put another in its place. What leads to the
    directory `top` is not judged. Raises OSError.
    """
    real, links = key_location.resolve(os.path.abspath(path))
    yield from _examine(real)
    for directory in dict.fromkeys(above for one in (real, *links) for above in _above(one, os.path.realpath(top))):
        yield from _examine(directory)


def _above(path: str, top: str) -> Iterator[str]:
    """The directories that lead to `path`, up to `top`, the nearest first."""
    while path not in ("/", top):
        path = os.path.dirname(path)
        yield path


def _examine(path: str) -> Iterator[Weakness]:
    found = os.stat(path)
    if found.st_uid not in (0, privileges.invoker()):
        problem = f"{path} does not belong to root, so another account decides who can log in"
        yield Weakness(problem=problem, fix="chown root")
    is_sticky = stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not is_sticky:
        yield Weakness(problem=f"{path} is writable by others, so no key in it is accepted", fix="chmod go-w")
