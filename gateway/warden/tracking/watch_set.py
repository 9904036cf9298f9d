"""The watches on the directories of one view: an inotify instance, whose events are heard in turns of a few
milliseconds, and a scanner, whose reports bring the directories that are new.
"""

from __future__ import annotations

import errno
import itertools
import os

from gateway.base.clock import boottime
from gateway.warden.loop import READ, Loop
from gateway.warden.tracking import inotify
from gateway.warden.tracking.events import Queue
from gateway.warden.tracking.reports import Kind, Report
from gateway.warden.tracking.scanner import Scanner
from gateway.warden.tracking.tree import Tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.warden.tracking.directory import Visit

MOST_WATCHES = 20_000
_VISITS = 32
"""That the scanner has at once."""
_TURN = 0.01
_PAUSE = 0.04
"""Seconds of hearing events, and until the next turn when there are more."""
_BREATH = 0.25
"""Seconds until the next turn when there are none: what matters is that something happened, not how often."""
_LOOK = 0.1
_PARTING = 0.05
_CLOSING = 1.0
"""Seconds that closing is put off: to end 20,000 watches takes 60 ms, which the lock of a view is not to wait for."""
_LAST = (Kind.LISTED, Kind.FAILED, Kind.FULL)
_MISSING = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


class WatchSet:
    """Of the view at `root`. Nothing is watched before `scan`.

    Calls `seen("read" | "write")` on file I/O, `stirred` when there are directories to be visited, `scanned` when the
    scanner has come to rest, and `lost(reason, error)` once, when the watches may not tell everything any more.
    """

    def __init__(
        self,
        loop: Loop,
        root: str,
        seen: Callable[[str], None],
        stirred: Callable[[], None],
        scanned: Callable[[], None],
        lost: Callable[[str, str], None],
    ) -> None:
        self._loop = loop
        self._root = root
        self._seen = seen
        self._stirred = stirred
        self._scanned = scanned
        self._lost = lost
        self._tree: Tree | None = Tree(MOST_WATCHES)
        self._queue: Queue | None = None
        self._scanner: Scanner | None = None
        self._numbers = itertools.count(1)
        self._visits: dict[int, Visit] = {}
        self._reports: list[Report] = []
        self._settles_at: int | None = None
        self._told = False
        self.asked: float | None = None
        """Since when (boottime) the scanner is at work; None when it rests."""

    @property
    def watches(self) -> int:
        return self._tree.watches if self._tree else 0

    @property
    def whole(self) -> bool:
        """Whether the watches tell of everything."""
        return self._tree is not None and self._tree.whole

    @property
    def has_scanner(self) -> bool:
        return self._scanner is not None

    def scan(self) -> bool:
        """Have directories visited. False: there is none to visit now, or the host has no process for it."""
        tree = self._tree
        if tree is None or self.asked is not None or not tree.is_waiting:
            return False
        if self._queue is None:
            try:
                self._queue = Queue(inotify.instance())
            except OSError as error:
                self._abandon("no-instance", os.strerror(error.errno or 0))
                return False
            self._listen()
        if self._scanner is None:
            try:
                self._scanner = Scanner(self._loop, self._root, self._queue.fd, self._report, self._scanner_died)
            except OSError:  # no process or no descriptor: there may be one later
                return False
        visits = []
        while len(self._visits) < _VISITS and (visit := tree.next()):
            number = next(self._numbers)
            self._visits[number] = visit
            visits.append((number, visit.path))
        self._tell_doubt()
        if not self._visits:
            return False
        self.asked = boottime()
        self._scanner.ask(visits)
        return True

    def rest(self) -> None:
        """End the scanner's process, unless it is at work."""
        if self._scanner and self.asked is None:
            self._scanner.stop()
            self._scanner = None

    def look(self) -> None:
        """Hear what has happened up to now. More than can be heard in a moment is activity, whatever it is."""
        if self._hear(_LOOK):
            self._seen("read or write")

    def close(self) -> None:
        """Stop. Waits a moment for the scanner, which has directories of the view open, and not for one that hangs."""
        self._drop(patience=_PARTING)

    def _drop(self, patience: float = 0) -> None:
        self._tree = None
        self.asked = self._settles_at = None
        self._visits.clear()
        self._reports.clear()
        if self._scanner:
            self._scanner.kill(patience)
            self._scanner = None
        if self._queue:
            self._loop.unwatch(self._queue.fd)
            self._loop.at(_CLOSING, self._queue.close)
            self._queue = None

    # events

    def _listen(self) -> None:
        if self._queue:
            self._loop.watch(self._queue.fd, READ, lambda _: self._take_turn())

    def _take_turn(self) -> None:
        if self._queue:
            self._loop.unwatch(self._queue.fd)
            self._loop.at(_PAUSE if self._hear(_TURN) else _BREATH, self._listen)

    def _hear(self, seconds: float) -> bool:
        """Take events in for so long; whether there are more."""
        until = boottime() + seconds
        more = True
        while more and boottime() < until:
            more = self._queue is not None and self._hear_portion(self._queue)
        self._settle()
        return more

    def _hear_portion(self, queue: Queue) -> bool:
        portion = queue.read()
        if portion is None:
            return False
        if portion.read:
            self._seen("read")
        if portion.written:
            self._seen("write")
        if portion.lost:  # perhaps of new directories; without the watches the flood ends for us
            self._abandon("overflow")
            return False
        if self._tree:
            for change in portion.changes:
                self._tree.apply(*change)
            self._tell_doubt()
            if self._tree.is_waiting:
                self._stirred()
        return True

    # reports

    def _report(self, report: Report) -> None:
        if report.kind is not Kind.RESTED:
            self._reports.append(report)
        elif self._queue:
            self._settles_at = self._queue.consumed + self._queue.waiting()
            self._go_on()

    def _go_on(self) -> None:
        """The reports count once the events from before them have been heard."""
        if self._settles_at is not None:
            self._hear(_TURN)
            if self._settles_at is not None:
                self._loop.at(_PAUSE, self._go_on)

    def _settle(self) -> None:
        if self._settles_at is None or not self._queue or self._queue.consumed < self._settles_at:
            return
        self.asked = self._settles_at = None
        reports, self._reports = self._reports, []
        for report in reports:
            self._apply(report)
        self._tell_doubt()
        self._scanned()

    def _apply(self, report: Report) -> None:
        tree, visit = self._tree, self._visits[report.visit]
        if tree is None:
            return
        if report.kind in _LAST:
            del self._visits[report.visit]
        match report.kind:
            case Kind.OPENED:
                tree.opened(visit, report.value)
            case Kind.FOUND:
                for name, modified in report.entries:
                    tree.found(visit, name, modified)
            case Kind.LISTED:
                tree.listed(visit)
            case Kind.FAILED:
                tree.failed(visit, missing=report.value in _MISSING)
            case Kind.FULL:
                tree.full(visit)

    def _scanner_died(self) -> None:
        self._abandon("uncertain")

    def _abandon(self, reason: str, error: str = "") -> None:
        """From here on no event is heard."""
        self._drop()
        self._tell(reason, error)

    def _tell_doubt(self) -> None:
        if self._tree and self._tree.doubt:
            self._tell(self._tree.doubt)

    def _tell(self, reason: str, error: str = "") -> None:
        if not self._told:
            self._told = True
            self._lost(reason, error)
