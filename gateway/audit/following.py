"""Follow the audit log: its events, and then each new one, through rotations."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import BinaryIO

from gateway.audit import lines, query
from gateway.audit.query import Event, Filter, Verbs

_PAUSE = 0.3
"""Seconds between two looks."""


def follow(path: str, wanted: Filter) -> Iterator[Event | None]:
    """All events that match `wanted`, oldest first, then None, then each new one as it is written. Never ends.

    Waits for a log that is not there yet. Raises OSError.
    """
    verbs = Verbs()
    while not os.path.exists(path):
        time.sleep(_PAUSE)
    with lines.open_log(path) as first:
        for event in map(verbs.complete, query.events_before(path, first)):
            if wanted.matches(event):
                yield event
        yield from (event for event in map(verbs.complete, _complete_lines(first)) if wanted.matches(event))
        yield None
        current = first
        while True:
            yield from (event for event in map(verbs.complete, _complete_lines(current)) if wanted.matches(event))
            if _is_rotated(path, current):
                yield from (event for event in map(verbs.complete, _complete_lines(current)) if wanted.matches(event))
                following = lines.open_log(path)
                if current is not first:
                    current.close()
                current = following
            else:
                time.sleep(_PAUSE)


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


def _is_rotated(path: str, file: BinaryIO) -> bool:
    try:
        return not os.path.samestat(os.stat(path), os.fstat(file.fileno()))
    except FileNotFoundError:  # between its two renames
        return False
