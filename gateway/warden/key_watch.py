"""Is the key that opened this session still in authorized_keys, and not expired? If not, the session ends.

The file is looked at each second, and read when it has changed: a queue of events can run over, and a limit of the host
can leave us without one. What is read in the middle of a save may be half of the file, so a key counts as gone when it
is gone for two looks in a row.
"""

from __future__ import annotations

import os
import time

from gateway.errors import Misconfigured
from gateway.identity import authorized_keys
from gateway.warden.loop import Loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_SETTLE = 0.5
_POLL = 1.0
_CLOCK = 60.0
"""Seconds between looks at the wall clock while a key has an expiry time: somebody may set that clock."""


class Revocation:
    """Calls `revoked` once, within 2 s of the change."""

    def __init__(self, loop: Loop, path: str, blob: str, principal: str, revoked: Callable[[], None]) -> None:
        self._loop = loop
        self._path = path
        self._blob = blob
        self._principal = principal
        self._revoked = revoked
        self._missing = False
        self._planned = False
        self._minded = 0.0
        self._stamp = self._stat()
        loop.at(_POLL, self._look)
        self._plan()

    def _look(self) -> None:
        stamp = self._stat()
        if stamp != self._stamp:
            self._stamp = stamp
            self._plan(0.0)
        self._loop.at(_POLL, self._look)

    def _stat(self) -> tuple[int, int, int]:
        try:
            found = os.stat(self._path)
        except OSError:
            return 0, 0, 0
        return found.st_ino, found.st_size, found.st_mtime_ns

    def _plan(self, delay: float = _SETTLE) -> None:
        if not self._planned:
            self._planned = True
            self._loop.at(delay, self._check)

    def _check(self) -> None:
        self._planned = False
        until = self._good_until()
        left = until - time.time()
        if left >= 0:
            self._missing = False
            self._mind_the_end(until, left)
        elif self._missing:
            self._revoked()
        else:
            self._missing = True
            self._plan()

    def _good_until(self) -> float:
        """When the key's line expires; 0 when there is none."""
        try:
            entries = authorized_keys.load(self._path)
        except Misconfigured:
            return 0.0
        mine = (entry.expires for entry in entries if authorized_keys.authorizes(entry, self._blob, self._principal))
        return max(mine, default=0.0)

    def _mind_the_end(self, until: float, left: float) -> None:
        """Look again when the key expires; one timer at a time."""
        if until != self._minded:
            self._minded = until
            if until != authorized_keys.NEVER:
                self._loop.at(min(left + _SETTLE, _CLOCK), lambda: self._end_of(until))

    def _end_of(self, until: float) -> None:
        if until == self._minded:  # else the file named another time since
            self._minded = 0.0
            self._plan()
