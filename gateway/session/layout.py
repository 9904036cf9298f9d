"""Where sessions lie: `<paths.run>/sessions/<id>/` with `record.json`, `sock` and `lock`."""

from __future__ import annotations

import os

from gateway.errors import Misconfigured

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.identity.names import SessionId

RECORD, SOCKET, LOCK = "record.json", "sock", "lock"


def directory(run: str) -> str:
    """Where the sessions are. Made by the first of them, and by nobody who only looks: a look by root must not take it
    away from the gateway's account.
    """
    return os.path.join(run, "sessions")


def path(run: str, id_: SessionId) -> str:
    """The directory of one session."""
    return os.path.join(directory(run), id_)


def names(root: str) -> list[str]:
    """What lies in the directory of sessions `root`. Raises Misconfigured when it cannot be read."""
    try:
        return os.listdir(root)
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
