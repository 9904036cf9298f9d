"""Whether keys are still authorized, asked again and again: by a session for all who act in it, by a prompt for its
own.

An editor replaces the file, or writes it in place: for a moment it is missing, or has half of its lines. So a key is
gone when it is gone in two looks in a row.
"""

from __future__ import annotations

import os
import time

from gateway.errors import Denied, Misconfigured
from gateway.identity import authorized_keys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gateway.identity.authentication import Caller

    Stamp = tuple[int, ...]

LOOK_SECONDS = 1.0
"""From one look to the next."""
DOUBT_SECONDS = 0.5
"""From a look in which a key is gone to the next, which decides. Keys are gone 1.5 s after the edit, at most."""
_SETTLED_SECONDS = 2.0
"""A file that changed a shorter time ago is read again at the next look: two edits within one tick of the file system's
clock can leave it the same size and times.
"""
_GONE = 0.0


def checker(path: str, caller: Caller) -> Callable[[], None]:
    """A function for whoever waits for the caller to call twice a second: it raises Denied once the key is gone."""
    status = KeyStatus(path, caller.listed_principal)

    def check() -> None:
        if status.missing((caller.blob,)):
            raise Denied(authorized_keys.REVOKED)

    return check


class KeyStatus:
    """The keys of `principal` in the authorized_keys at `path`.

    `is_there` says whether `path` still is what sshd reads; until it is not, the file is read only when its size, times
    or inode have changed.
    """

    def __init__(self, path: str, principal: str, is_there: Callable[[], bool] = lambda: True) -> None:
        self._path = path
        self._principal = principal
        self._is_there = is_there
        self._read: Stamp = ()
        self._until: dict[str, float] = {}
        self._doubted: frozenset[str] = frozenset()
        self.trouble = ""

    @property
    def is_in_doubt(self) -> bool:
        """Whether a key was gone in the last look: then the next look is due after DOUBT_SECONDS."""
        return bool(self._doubted)

    def missing(self, blobs: Iterable[str]) -> frozenset[str]:
        """Look at the file. Those of `blobs` whose line is gone, has expired or names another principal, in this look
        and in the one before. `trouble` then says why the file could not be read, or is "".
        """
        stamp = self._stamp()
        known = self._until if stamp and stamp == self._read else {}
        wanted = frozenset(blobs)
        self._until = {blob: known[blob] for blob in wanted if blob in known}
        if unknown := wanted - known.keys():
            self._until |= self._expiry_times(unknown)
        now = time.time()
        gone = frozenset(blob for blob, until in self._until.items() if authorized_keys.is_over(until, now))
        certain = gone & self._doubted
        self._doubted = gone
        self._read = () if gone or not self._is_settled(stamp, now) else stamp
        return certain

    def _stamp(self) -> Stamp:
        """What changes with the file; empty when it is not there."""
        try:
            found = os.stat(self._path)
        except OSError as error:
            self.trouble = error.strerror or "it is not there"
            return ()
        if not self._is_there():
            self.trouble = "it was replaced in a way that a session cannot follow"
            return ()
        self.trouble = ""
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns

    def _is_settled(self, stamp: Stamp, now: float) -> bool:
        return bool(stamp) and now - stamp[-1] / 1e9 > _SETTLED_SECONDS

    def _expiry_times(self, blobs: Iterable[str]) -> dict[str, float]:
        """Until when each key is authorized, in seconds since the epoch."""
        content = b""
        if not self.trouble:
            try:
                content = authorized_keys.read_bytes(self._path)
            except Misconfigured as error:
                self.trouble = error.hint
        return {blob: self._expiry_time(content, blob) for blob in blobs}

    def _expiry_time(self, content: bytes, blob: str) -> float:
        entries = authorized_keys.entries_of(content, blob)
        mine = (entry.expires for entry in entries if authorized_keys.authorizes(entry, blob, self._principal))
        return max(mine, default=_GONE)
