"""Follow the audit log: its events, and then each new one, through rotations."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from gateway.audit import lines, query
from gateway.audit.archives import Log
from gateway.audit.query import Event, Filter, Verbs

_PAUSE = 0.3
"""Seconds between two looks."""


def follow(logs: Sequence[Log], wanted: Filter) -> Iterator[Event | None]:
    """All events of the logs that match `wanted`, oldest first, then None, then each new one as it is written. Never
    ends.

    Waits for logs that are not there yet. Raises OSError.
    """
    followed = [_Followed(log, wanted) for log in logs]
    yield from query.by_time(one.earlier() for one in followed)
    yield None
    while True:
        yield from sorted((event for one in followed for event in one.new()), key=lambda event: event.time)
        time.sleep(_PAUSE)


class _Followed:
    """One of the logs. `_current` is the file that is read, None while there is none."""

    def __init__(self, log: Log, wanted: Filter) -> None:
        self._log, self._wanted, self._verbs = log, wanted, Verbs()
        self._current = self._open()

    def _open(self) -> BinaryIO | None:
        try:
            return lines.open_log(self._log.path)
        except FileNotFoundError:
            return None

    def earlier(self) -> Iterator[Event]:
        """What is there already, closed logs first."""
        if self._current:
            yield from self._chosen(query.events_before(self._log.path, self._current))
            yield from self._chosen(_complete_lines(self._current))

    def new(self) -> Iterator[Event]:
        """What was written since."""
        self._current = self._current or self._open()
        while current := self._current:
            yield from self._chosen(_complete_lines(current))
            if not self._is_rotated(current):
                return
            yield from self._chosen(_complete_lines(current))
            current.close()
            self._current = self._open()

    def _chosen(self, found: Iterator[Event]) -> Iterator[Event]:
        return query.named(self._log.host, filter(self._wanted.matches, map(self._verbs.complete, found)))

    def _is_rotated(self, file: BinaryIO) -> bool:
        try:
            return not os.path.samestat(os.stat(self._log.path), os.fstat(file.fileno()))
        except FileNotFoundError:  # between its two renames
            return False


def _complete_lines(file: BinaryIO) -> Iterator[Event]:
    """The events from the file's position on. A line that is not written to its end is left for the next look."""
    while True:
        at = file.tell()
        line = file.readline(lines.MAX_LINE + 1)
        if not line.endswith(b"\n") and len(line) <= lines.MAX_LINE:
            file.seek(at)
            return
        if event := query.parse(line.removesuffix(b"\n")):
            yield event
