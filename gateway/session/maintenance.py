"""Maintenance: while the file `paths.pause` is there, nothing new begins. What it says is what people are told.

The file is root's, beside the configuration, and outlives a reboot; live sessions do not look at it.
"""

from __future__ import annotations

import os

from gateway.base import files
from gateway.errors import Denied, Paused, Usage, is_storage_lost, of_storage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.identity.names import Principal

_ENDED, _ALL = "ended", "all"
"""In the run directory: a file for each principal whose rekeying was ended, and when; a name no principal has."""
LONGEST = 300
"""Characters of a message."""


def message(path: str) -> str | None:
    """What the sysadmin says about the pause ("" for nothing); None when there is none. Unreadable is paused.

    Raises Misconfigured when its disk is lost: then nobody has paused the gateway.
    """
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            said = file.read(LONGEST)
    except FileNotFoundError:
        return None
    except OSError as error:
        if is_storage_lost(error):
            raise of_storage(error) from error
        return ""
    return "".join(char if char.isprintable() else " " for char in said).strip()


def paused(said: str) -> Paused:
    """The refusal, with the sysadmin's message."""
    return Paused(f"the gateway is paused{f': {said}' if said else ''}", "try again later")


def require_running(path: str) -> None:
    """Raise Paused in a pause, for those who were let in before it and then took their time. Raises Misconfigured."""
    said = message(path)
    if said is not None:
        raise paused(said)


def end_rekeying(run: str, principal: Principal | None) -> None:
    """Have each `rekey` of the principal (None: of everybody) end that is under way: it looks twice a second. Raises
    Misconfigured, OSError.
    """
    from gateway.limits import concurrency  # for sysadmins alone

    fd = concurrency.open_shared(run, _ENDED, principal.directory if principal else _ALL)
    try:
        os.utime(fd)
    finally:
        os.close(fd)


def require_not_ended(run: str, principal: Principal, since: float) -> None:
    """Raise Denied if a sysadmin has ended what the principal began at `since` (seconds since the epoch)."""
    for name in (principal.directory, _ALL):
        try:
            if os.stat(os.path.join(run, _ENDED, name)).st_mtime > since:
                raise Denied("your sysadmin ended it", "nothing was changed; the same command continues")
        except OSError:
            continue


def begin(path: str, said: str) -> None:
    """Pause, at once. Raises Usage for a message that does not fit on a line."""
    if len(said) > LONGEST or not said.isprintable():
        raise Usage(f"a message is one line of at most {LONGEST} characters")
    files.replace(path, said + "\n", 0o644)


def end(path: str) -> bool:
    """Resume; whether there was a pause."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    return True
