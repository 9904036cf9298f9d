"""Where authorized_keys really is, and which links lead there.

A session's sandbox shows one directory of the host for it. What a link inside of that directory leads to is seen as
sshd sees it. A link outside is followed when the session starts; the session holds the link itself, which gives no
access to anything, to notice that another has taken its place (gateway.warden.key_watch).
"""

from __future__ import annotations

import os

from gateway.base.records import Record
from gateway.errors import Misconfigured

_MAX_LINKS = 40
"""As the kernel's (path_resolution(7))."""


class KeyLocation(Record):
    """`name` in `directory` is authorized_keys. No component of `directory` is a link; `links` are those that lead to
    it, each by a path in which the last component alone is a link.
    """

    directory: str
    name: str
    links: tuple[str, ...] = ()


def locate(path: str) -> KeyLocation:
    """Raises Misconfigured when there are more links than the kernel follows, or one cannot be read."""
    try:
        return _locate(path)
    except OSError as error:
        raise Misconfigured(f"{path} cannot be read", error.strerror or "too many links") from error


def _locate(path: str) -> KeyLocation:
    real, found = _resolve(path)
    links = tuple(dict.fromkeys(found))
    directory, _ = _resolve(os.path.dirname(path))
    within = [link for link in links if _is_in(link, directory)]
    if all(_is_in(_target(link), directory) for link in within):
        outside = tuple(link for link in links if link not in within)
        return KeyLocation(directory=directory, name=os.path.basename(path), links=outside)
    return KeyLocation(directory=os.path.dirname(real), name=os.path.basename(real), links=links)


def _is_in(path: str, directory: str) -> bool:
    return f"{path}/".startswith(f"{directory.rstrip('/')}/")


def _target(link: str) -> str:
    """Where a sandbox that has the link's directory elsewhere finds its target; "" for nowhere."""
    target = os.readlink(link)
    return "" if target.startswith("/") else os.path.normpath(os.path.join(os.path.dirname(link), target))


def _resolve(path: str) -> tuple[str, list[str]]:
    """The path without links, and the links on the way, in order. Raises OSError. What does not exist is no link."""
    at, rest, links = "/", path.split("/")[::-1], list[str]()
    while rest:
        here = os.path.normpath(os.path.join(at, rest.pop()))
        if os.path.islink(here):
            links.append(here)
            if len(links) > _MAX_LINKS:
                raise OSError("too many links")
            target = os.readlink(here)
            at = "/" if target.startswith("/") else at
            rest += target.split("/")[::-1]
        else:
            at = here
    return at, links
