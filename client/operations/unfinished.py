"""Which copies of `enc new P --from DIR` are not finished, so that the same words continue them.

A record is a file in $XDG_STATE_HOME/enc/unfinished, which outlives a restart. It is made before the project, when the
gateway has said that the name is free and the passphrase was given. It is removed when the copy is complete, when the
project was not made, and when `enc rm` or `enc new` without --from has made the name that of another project. It has
the directory's path in hexadecimal.
"""

from __future__ import annotations

import contextlib
import os

from client.errors import CannotCreate
from client.state.config import Profile
from client.system import files, names
from client.system.sha256 import sha256


def is_begun(profile: Profile, project: str, source: str) -> bool:
    """Whether a copy of this very directory into the project was begun on this machine and not finished."""
    try:
        with open(_path(profile, project), encoding="ascii", errors="replace") as file:
            return file.read() == _spelled(source)
    except OSError:
        return False


def _spelled(source: str) -> str:
    """The directory's path in ASCII, for it may be no UTF-8."""
    return os.fsencode(os.path.realpath(source)).hex()


def begin(profile: Profile, project: str, source: str) -> None:
    """Record that the copy begins. Raises CannotCreate."""
    path = _path(profile, project)
    try:
        os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
        files.replace(path, _spelled(source))
    except OSError as error:
        message = f"{os.path.dirname(path)} cannot be written, where enc notes what is not copied yet"
        raise CannotCreate(message, "make it writable") from error


def end(profile: Profile, project: str) -> None:
    """The copy is complete, or nothing of it was made."""
    with contextlib.suppress(OSError):
        os.unlink(_path(profile, project))


def _path(profile: Profile, project: str) -> str:
    home = os.environ.get("XDG_STATE_HOME") or os.path.join(os.path.expanduser("~"), ".local", "state")
    gateway = sha256("\0".join((profile.host, profile.user, str(profile.port))).encode()).hexdigest()[:8]
    return os.path.join(home, "enc", "unfinished", f"{gateway}-{names.in_file_name(project)}")
