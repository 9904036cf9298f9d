"""See which files are opened."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pyinotify


class _Opened(pyinotify.ProcessEvent):  # type: ignore[misc]
    def my_init(self) -> None:
        self.names: set[str] = set()

    def process_IN_OPEN(self, event: pyinotify.Event) -> None:
        self.names.add(event.name)


@contextlib.contextmanager
def opened_in(directory: Path) -> Iterator[Callable[[], set[str]]]:
    """A function that returns the names of the files in `directory` that were opened since the block began."""
    manager, opened = pyinotify.WatchManager(), _Opened()
    notifier = pyinotify.Notifier(manager, opened, timeout=100)
    manager.add_watch(str(directory), pyinotify.IN_OPEN)

    def names() -> set[str]:
        while notifier.check_events():
            notifier.read_events()
            notifier.process_events()
        return opened.names - {""}

    try:
        yield names
    finally:
        notifier.stop()
