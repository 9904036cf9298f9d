"""enc's directory on the user's tmpfs, $XDG_RUNTIME_DIR/enc: it ends with the login and only the user can read it."""

from __future__ import annotations

import os
import stat

from client.errors import Missing

_HINT = "log in through systemd-logind, or set it to a private directory (mode 0700) on a tmpfs"


def path() -> str:
    """The directory, created when it does not exist. Raises Missing."""
    base = os.environ.get("XDG_RUNTIME_DIR", "")
    if not base:
        raise Missing("XDG_RUNTIME_DIR is not set", _HINT)
    try:
        about = os.stat(base)
        if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.geteuid() or about.st_mode & 0o077:
            raise Missing(f"XDG_RUNTIME_DIR ({base}) is not a private directory of yours", _HINT)
        own = os.path.join(os.path.realpath(base), "enc")
        os.makedirs(own, 0o700, exist_ok=True)
    except OSError as error:
        raise Missing(f"XDG_RUNTIME_DIR ({base}) cannot be used: {error.strerror}", _HINT) from error
    return own
