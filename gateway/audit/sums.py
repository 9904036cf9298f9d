"""The sums of a closed log, in `<closed log>.sum` beside it: what metrics and a quick verification need of it.

They are a cache. Sums that are missing, malformed, of another version, or older than the log are ignored, and the log
is read again. Whoever can write a log can write its sums too, so sums prove nothing: `audit verify` reads the logs.
"""

from __future__ import annotations

import contextlib
import os
import stat

from gateway.audit.tally import Tally
from gateway.base import files, json
from gateway.base.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

VERSION = 1
"""Of the format, and of what is counted. To count something else is another version."""
_SUFFIX = ".sum"
_MAX_BYTES = 64 * 1024


class Chain(Record):
    """A closed log whose lines follow each other: what is needed to link it to the logs before and after it.

    `first` and `last` are the numbers of its first and last line. `prev` is the hash that the first line has of the
    line before it, `head` the hash of the last line. `dropped` is the number up to which rotation deleted older logs.
    """

    lines: int
    first: int
    last: int
    prev: str
    head: str
    dropped: int


class Sums(Record):
    """`chain` is None if a line does not follow the one before it: then a verification has to read the log."""

    chain: Chain | None
    tally: Tally


def identity(found: os.stat_result) -> list[int]:
    """What changes when a file is replaced, written to or renamed. ctime cannot be set by the file's owner."""
    return [found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns]


def read(archive: str) -> Sums | None:
    """The sums of a closed log, which is not opened; None if there are none that are sound and of that very file."""
    try:
        found = os.stat(archive, follow_symlinks=False)
        values = json.loads(files.read(archive + _SUFFIX, _MAX_BYTES))
        if not stat.S_ISREG(found.st_mode) or values["version"] != VERSION or values["file"] != identity(found):
            return None
        return Sums(
            chain=_chain(values["chain"]) if values["chain"] is not None else None, tally=Tally.of(values["tally"])
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def write(archive: str, file: list[int], sums: Sums) -> None:
    """Keep the sums of the closed log whose `identity` is `file`. Raises OSError."""
    chain = sums.chain.as_dict() if sums.chain else None
    values = {"version": VERSION, "file": file, "chain": chain, "tally": sums.tally.as_dict()}
    files.replace(archive + _SUFFIX, json.dumps(values) + "\n", durable=False)


def remove(archive: str) -> None:
    """Remove the sums of a closed log that is removed."""
    with contextlib.suppress(OSError):
        os.unlink(archive + _SUFFIX)


def _chain(values: dict[str, Any]) -> Chain:
    """Raises ValueError and the like for what `write` did not write."""
    chain = Chain(**values)
    kinds = {"int": int, "str": str}
    if any(type(value) is not kinds[chain._fields[name]] for name, value in chain.as_dict().items()):
        raise ValueError("not the sums of a log")
    return chain
