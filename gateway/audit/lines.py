"""The lines of a log file, which the gateway's account can write to: read as from a stranger."""

from __future__ import annotations

import os

from gateway.base import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

MAX_LINE = 64 * 1024
"""Bytes. A record has a few hundred. Of a longer line only the beginning is read, which is no record."""


def open_log(path: str) -> BinaryIO:
    """Open a log, which the caller closes. Raises OSError, also for a link or a FIFO in its place."""
    return os.fdopen(files.open_regular(path), "rb")


def of(file: BinaryIO) -> Iterator[bytes]:
    """The lines of an open log, without their ends. The last one may lack it."""
    while line := file.readline(MAX_LINE + 1):
        if len(line) > MAX_LINE and not line.endswith(b"\n"):
            _skip_line(file)
        yield line.removesuffix(b"\n")


def ended(file: BinaryIO) -> Iterator[bytes]:
    """As `of`, without a last line that lacks its end: of a log to which others write in pieces."""
    before = None
    for line in of(file):
        if before is not None:
            yield before
        before = line
    if before is not None and os.pread(file.fileno(), 1, max(0, file.tell() - 1)) == b"\n":
        yield before


def _skip_line(file: BinaryIO) -> None:
    while (rest := file.readline(1 << 20)) and not rest.endswith(b"\n"):
        continue
