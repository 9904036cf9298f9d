"""enc's private directory for sockets and state: $XDG_RUNTIME_DIR/enc, which ends with the login.

Without XDG_RUNTIME_DIR (after `su`, in cron, in a container) it is one in /run/user/UID if the user has that, else
/dev/shm/enc-UID or /tmp/enc-UID. Others may write to the last two: enc uses a directory there only if it is the user's
own and closed to others, and follows no link to it.
"""

from __future__ import annotations

import contextlib
import os
import stat

from client.errors import Missing

_OF_LOGIN = f"/run/user/{os.geteuid()}"
_OPEN_TO_ALL = ("/dev/shm", "/tmp")  # noqa: S108 - what is there is checked
_HINT = "set XDG_RUNTIME_DIR to a private directory (mode 0700) on a tmpfs"


def path() -> str:
    """The directory, created when it does not exist. Raises Missing."""
    base = os.environ.get("XDG_RUNTIME_DIR", "")
    return _below(base, "XDG_RUNTIME_DIR ") if base else _fallback()


def is_fallback() -> bool:
    """Whether XDG_RUNTIME_DIR is not set."""
    return not os.environ.get("XDG_RUNTIME_DIR")


def _below(base: str, what: str = "") -> str:
    try:
        about = os.stat(base)
        if not _is_private(about):
            raise Missing(f"{what}({base}) is not a private directory of yours", _HINT)
        own = os.path.join(os.path.realpath(base), "enc")
        os.makedirs(own, 0o700, exist_ok=True)
    except OSError as error:
        raise Missing(f"{what}({base}) cannot be used: {error.strerror}", _HINT) from error
    return own


def _fallback() -> str:
    with contextlib.suppress(Missing):
        return _below(_OF_LOGIN)
    candidates = [f"{parent}/enc-{os.geteuid()}" for parent in _OPEN_TO_ALL if _is_sticky(parent)]
    for made in candidates:  # one that is in use stays, whatever another user does in a place that comes first
        if _is_usable(made):
            return _below(made)
    for made in candidates:
        with contextlib.suppress(OSError):
            os.mkdir(made, 0o700)
        if _is_usable(made):
            return _below(made)
    places = " and ".join(f"{parent}/enc-{os.geteuid()}" for parent in _OPEN_TO_ALL)
    message = f"XDG_RUNTIME_DIR is not set, and {places} are not private directories of yours"
    raise Missing(message, _HINT)


def _is_usable(made: str) -> bool:
    with contextlib.suppress(OSError):
        return _is_private(os.lstat(made))
    return False


def _is_sticky(parent: str) -> bool:
    """Whether others cannot rename what is ours there."""
    with contextlib.suppress(OSError):
        about = os.stat(parent)
        return not about.st_mode & 0o022 or bool(about.st_mode & stat.S_ISVTX)
    return False


def _is_private(about: os.stat_result) -> bool:
    return stat.S_ISDIR(about.st_mode) and about.st_uid == os.geteuid() and not about.st_mode & 0o077
