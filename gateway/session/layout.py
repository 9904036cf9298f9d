"""Where sessions lie: `<paths.run>/sessions/<principal directory>/<id>/` with `record.json`, `sock` and `lock`.

All of it belongs to the gateway's account. Whatever else lies there, such as links, FIFOs or directories of other
names, was made by somebody else who has the account's rights. It is skipped: no link is followed.
"""

from __future__ import annotations

import os
import stat

from gateway.errors import Misconfigured, Usage
from gateway.identity.names import Principal, SessionId

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

RECORD, ENDING, SOCKET, LOCK = "record.json", "ending.json", "sock", "lock"
"""ENDING is the record of a session that is about to write its end into the audit log."""


def directory(run: str) -> str:
    """Where the sessions of all principals are. Made by the first of them, and by nobody who only looks: a look by root
    must not take it away from the gateway's account.
    """
    return os.path.join(run, "sessions")


def home(run: str, principal: Principal) -> str:
    """Where the sessions of one principal are."""
    return os.path.join(directory(run), principal.directory)


def path(run: str, principal: Principal, id_: SessionId) -> str:
    """The directory of one session."""
    return os.path.join(home(run, principal), id_)


def principals(run: str) -> Iterator[Principal]:
    """The principals that have or had sessions since the host started. Raises Misconfigured."""
    for name in _names(directory(run)):
        try:
            yield Principal.of_directory(name)
        except Usage:  # nothing of ours
            continue


def sessions(run: str, principal: Principal) -> Iterator[str]:
    """The paths of one principal's sessions, dead ones included; none where `home` is no directory that we can read.

    Raises Misconfigured.
    """
    where = home(run, principal)
    if is_readable_directory(where):
        yield from (os.path.join(where, name) for name in _names(where) if SessionId.accepts(name))


def owner(path: str) -> tuple[Principal, SessionId]:
    """Whose session the directory `path` is, and its id: what its place says, whatever lies in it."""
    above, name = os.path.split(path)
    return Principal.of_directory(os.path.basename(above)), SessionId(name)


_OWNERS = ".owners"
"""In `home`: an empty file for each principal whose shared projects this one has held since the host started. Who only
looks and ends finds those sessions without the disk of the vaults, which may not answer.
"""


def add_owner(run: str, principal: Principal, owner: Principal) -> None:
    """`principal` is about to hold a session of `owner`'s. Raises OSError."""
    where = os.path.join(home(run, principal), _OWNERS)
    os.makedirs(where, 0o700, exist_ok=True)
    os.close(os.open(os.path.join(where, owner.directory), os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))


def owners(run: str, principal: Principal) -> Iterator[Principal]:
    """Whose sessions `principal` may hold beside their own."""
    where = os.path.join(home(run, principal), _OWNERS)
    for name in sorted(_names(where)) if is_readable_directory(where) else ():
        try:
            yield Principal.of_directory(name)
        except Usage:  # nothing of ours
            continue


def is_readable_directory(path: str) -> bool:
    """Whether `path` is a directory, no link to one, and we may list it."""
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode) and os.access(path, os.R_OK | os.X_OK)
    except FileNotFoundError:
        return False


def _names(where: str) -> list[str]:
    try:
        return os.listdir(where)
    except FileNotFoundError:  # there was no session yet
        return []
    except OSError as error:
        raise Misconfigured("the gateway cannot read its run directory", error.strerror) from error


def unlink(path: str) -> None:
    """Remove the file `path` if it is there."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
