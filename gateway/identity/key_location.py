"""Where authorized_keys really is, and which links lead there.

A session's sandbox shows one directory of the host for it. Links inside of that directory are seen as sshd sees them.
A link outside is followed when the session starts; the session holds the link itself, which gives no access to
anything, to notice that another has taken its place (gateway.warden.key_watch).
"""

from __future__ import annotations

import os

from gateway.base.records import Record
from gateway.errors import Misconfigured

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_MAX_LINKS = 40
"""As the kernel's (path_resolution(7))."""
SHOWN = ("/etc",)
"""What every session's sandbox shows of the host (gateway.sandbox.session): a directory in it may be replaced."""


class KeyLocation(Record):
    """`name` is the path of authorized_keys in `directory`, whose path has no link in it; `links` are those outside
    that lead to it, each by a path in which the last component alone is a link.
    """

    directory: str
    name: str
    links: tuple[str, ...] = ()


def locate(path: str, shown: Iterable[str] = SHOWN) -> KeyLocation:
    """The directory to show: one of `shown`, or the one that the file is in. Raises Misconfigured when there are more
    links than the kernel follows, or one cannot be read.
    """
    try:
        real, links = resolve(path)
        directory, leading = resolve(os.path.dirname(path))
        visible = _visible(directory, shown)
        last = links[len(leading) :]
        if all(_is_in(link, visible) and _is_in(_target(link), visible) for link in last):
            real, links = os.path.join(directory, os.path.basename(path)), leading
        else:
            visible = _visible(os.path.dirname(real), shown)
    except OSError as error:
        raise Misconfigured(f"{path} cannot be read", error.strerror or "too many links") from error
    return KeyLocation(directory=visible, name=os.path.relpath(real, visible), links=tuple(dict.fromkeys(links)))


def _visible(directory: str, shown: Iterable[str]) -> str:
    return next((one for one in shown if _is_in(directory, one)), directory)


def _is_in(path: str, directory: str) -> bool:
    return f"{path}/".startswith(f"{directory.rstrip('/')}/")


def _target(link: str) -> str:
    """Where a sandbox that has the link's directory elsewhere finds its target; "" for nowhere."""
    target = os.readlink(link)
    return "" if target.startswith("/") else os.path.normpath(os.path.join(os.path.dirname(link), target))


def resolve(path: str) -> tuple[str, list[str]]:
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
