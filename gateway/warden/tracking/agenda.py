"""Which directories of a tree are to be visited, and in what order: newest first."""

from __future__ import annotations

import heapq

from gateway.warden.tracking.directory import Directory, Visit

_SPARE = 1024


class Agenda:
    """A directory is pending from `add` until `discard`. From `begin` to `finish` a visit to it is under way."""

    def __init__(self) -> None:
        self._pending: set[Directory] = set()
        self._queue: list[tuple[tuple[float, int], Directory]] = []
        self._under_way: set[Directory] = set()
        self._is_stale = False

    def __len__(self) -> int:
        return len(self._pending)

    def __contains__(self, directory: Directory) -> bool:
        return directory in self._pending

    @property
    def has_visits(self) -> bool:
        """Whether visits are under way."""
        return bool(self._under_way)

    def add(self, directory: Directory) -> None:
        self._pending.add(directory)
        self._push(directory)

    def discard(self, directory: Directory) -> None:
        self._pending.discard(directory)

    def clear(self) -> None:
        """Nothing more is to be visited; visits that are under way still end with `finish`."""
        self._pending.clear()
        self._queue.clear()

    def revive(self) -> None:
        """Directories that `take` gave and nobody visited are to be given again: now they may have a path."""
        self._is_stale = True

    def take(self) -> Directory | None:
        """The next one that has no watch yet."""
        while self._queue or self._is_stale:
            if not self._queue:
                self._rebuild()
                continue
            _, directory = heapq.heappop(self._queue)
            if directory in self._pending and not directory.watch:
                return directory
        return None

    def begin(self, directory: Directory) -> None:
        """A visit to it is under way."""
        self._under_way.add(directory)

    def finish(self, visit: Visit, again: bool) -> None:
        """It is no longer; `again`: it is to be made once more, if its directory is still pending."""
        self._under_way.discard(visit.directory)
        if again and visit.directory in self._pending:
            self._push(visit.directory)

    def _push(self, directory: Directory) -> None:
        if len(self._queue) > 2 * len(self._pending) + _SPARE:  # most of it is of what is no more
            self._rebuild()
        else:
            heapq.heappush(self._queue, (directory.rank, directory))

    def _rebuild(self) -> None:
        self._is_stale = False
        idle = (one for one in self._pending if not one.watch and one not in self._under_way)
        self._queue = [(one.rank, one) for one in idle]
        heapq.heapify(self._queue)
