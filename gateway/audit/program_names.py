"""The name of a program that a user asked for, as far as the audit log may have it.

A program of the host has a public name. One of a project has a name that is encrypted on the disk, and a word that
names no program could be anything: of these, no name is given out.
"""

from __future__ import annotations

import os

from gateway.base.process import ENVIRONMENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

OF_PROJECT = "(of the project)"
NOT_FOUND = "(not found)"
_USR = "/usr"
_LINKED = ("/bin", "/sbin")
"""Links into /usr, in a sandbox as on the host."""


def of_host(word: str, extra: Sequence[str]) -> str:
    """The name of the program that `word` starts in a sandbox which shows /usr and the directories `extra`.

    The path without its directories if it is a program of the host, else OF_PROJECT or NOT_FOUND. A path is not that of
    a program of the host unless it stays one after all links are followed.
    """
    if "/" in word:
        return _of_path(word, extra)
    paths = (os.path.join(place, word) for place in ENVIRONMENT["PATH"].split(":"))
    return word if any(_is_of_host(path, extra) for path in paths) else NOT_FOUND


def _of_path(path: str, extra: Sequence[str]) -> str:
    if not path.startswith("/") or not _is_below(os.path.normpath(path), (_USR, *_LINKED, *extra)):
        return OF_PROJECT
    return os.path.basename(path) if _is_of_host(path, extra) else NOT_FOUND


def _is_of_host(path: str, extra: Sequence[str]) -> bool:
    found = os.path.realpath(path)
    return ".." not in path.split("/") and _is_below(found, (_USR, *extra)) and os.path.isfile(found)


def _is_below(path: str, places: Sequence[str]) -> bool:
    return any(path.startswith(place.rstrip("/") + "/") for place in places)
