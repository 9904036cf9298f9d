"""Which copies of `enc new P --from DIR` are not finished, so that the same words continue them.

A record is a file in $XDG_STATE_HOME/enc/unfinished, which outlives a restart. It is made before the project, when the
gateway has said that the name is free, and removed when the copy is complete. It has the directory's path.
"""

from __future__ import annotations

import contextlib
import os

from client.errors import CannotCreate
from client.state.config import Profile
from client.system import files
from client.system.sha256 import sha256


def source_of(profile: Profile, project: str) -> str:
    """The directory whose copy into the project was begun on this machine and not finished; "" for none."""
    try:
        with open(_path(profile, project), encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError:
        return ""


def begin(profile: Profile, project: str, source: str) -> None:
    """Record that the copy begins. Raises CannotCreate."""
    path = _path(profile, project)
    try:
        os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
        files.replace(path, os.fsencode(os.path.realpath(source)).decode(errors="surrogateescape"))
    except (OSError, UnicodeError) as error:
        where = os.path.dirname(path)
        raise CannotCreate(
            f"{where} cannot be written, so a copy could not be continued", "make it writable"
        ) from error


def end(profile: Profile, project: str) -> None:
    """The copy is complete, or nothing of it was made."""
    with contextlib.suppress(OSError):
        os.unlink(_path(profile, project))


def _path(profile: Profile, project: str) -> str:
    home = os.environ.get("XDG_STATE_HOME") or os.path.join(os.path.expanduser("~"), ".local", "state")
    gateway = sha256("\0".join((profile.host, profile.user, str(profile.port))).encode()).hexdigest()[:8]
    return os.path.join(home, "enc", "unfinished", f"{gateway}-{project}")
