"""File I/O in one view, seen from outside the programs that do it.

Every directory gets an inotify watch, in the background, newest first, in small steps; the kernel then tells of reads
and writes, those that the page cache answers included. Whenever the watch set is not known to be whole (it is still
growing, a limit of the host, lost events, a doubt), the I/O counters of the gocryptfs process tell work from silence as
well: so somebody who works is never locked out. Listing a directory is not I/O: the events of that are passed over, and
what the counters counted while our own scanner was at work is left out.

Nothing here waits for the view: what opens and lists its directories is another process.
"""

from __future__ import annotations

from gateway.base.clock import boottime
from gateway.warden.loop import Loop
from gateway.warden.tracking.counters import Counters
from gateway.warden.tracking.watch_set import WatchSet

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_CYCLE, _REST = 0.05, 0.025
"""Seconds from one request to the scanner until the next, and from its answer at least."""
_SAMPLE = 1.0
_OVERDUE = 2.0
"""Seconds after which we no longer wait for the scanner's rest to look at the counters: the view may hang, or the
directory that it lists have very many names.
"""
_LINGER = 2.0
"""Seconds that an idle scanner is kept."""
_NEVER = float("inf")


class Tracker:
    """Follows the view at `root`, served by process `pid`. Calls `seen("read" | "write" | "read or write")` on file
    I/O, often, and `incomplete(reason, error)` at most once, when counters count from here on.
    """

    def __init__(
        self,
        loop: Loop,
        root: str,
        pid: int,
        seen: Callable[[str], None],
        incomplete: Callable[[str, str], None],
    ) -> None:
        self._loop = loop
        self._seen = seen
        self._incomplete = incomplete
        self._counters = Counters(pid)
        self._watches = WatchSet(loop, root, seen, self._wake, self._scanned, self._lost)
        self._closed = False
        self._asked = 0.0
        self._due = _NEVER
        self._lingering = False
        self._plan(0)

    @property
    def watches(self) -> int:
        return self._watches.watches

    def close(self) -> None:
        """Stop."""
        self._closed = True
        self._watches.close()

    def look(self) -> None:
        """Report at once what has happened up to now."""
        self._watches.look()
        if not self._watches.whole:
            self._compare()

    def _compare(self) -> None:
        if self._counters.moved():
            self._seen("read or write")

    def _plan(self, delay: float) -> None:
        """The next step; what was planned before is off."""
        due = self._due = boottime() + delay
        self._loop.at(delay, lambda: self._step() if due == self._due else None)

    def _step(self) -> None:
        """Look at the counters, have some directories watched, and come again."""
        self._due = _NEVER
        if self._closed:
            return
        watches = self._watches
        if watches.asked is not None:
            if boottime() - watches.asked > _OVERDUE:
                self._compare()
            self._plan(_SAMPLE)
            return
        if not watches.whole:
            self._compare()
        self._asked = boottime()
        if watches.scan() or not watches.whole:
            self._lingering = False
            self._plan(_SAMPLE)
        elif watches.has_scanner and not self._lingering:
            self._lingering = True
            self._plan(_LINGER)
        else:
            watches.rest()

    def _scanned(self) -> None:
        self._counters.reset()
        self._plan(max(_REST, self._asked + _CYCLE - boottime()))

    def _wake(self) -> None:
        """There are new directories."""
        if self._watches.asked is None and self._due > boottime() + _REST:
            self._begin_to_count()
            self._plan(0)

    def _lost(self, reason: str, error: str) -> None:
        self._incomplete(reason, error)
        if self._watches.asked is None and self._due > boottime() + _SAMPLE:
            self._begin_to_count()
            self._plan(_SAMPLE)

    def _begin_to_count(self) -> None:
        """The counters count from now, if they did not before."""
        if self._due == _NEVER or self._lingering:
            self._lingering = False
            self._counters.reset()
