"""What is wrong with released versions of gocryptfs, and which guard the gateway puts below every client.

tests/system/test_gocryptfs_defects.py asks the installed gocryptfs for each defect. It fails when one is gone: then its
guard may go as soon as no supported distribution has an older version.
"""

from __future__ import annotations

import contextlib
import os

from gateway.base import files
from gateway.base.records import Record
from gateway.vault import gocryptfs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

Version = tuple[int, int, int]

UNKNOWN: Version = (0, 0, 0)
"""A version that could not be read counts as one with every defect."""


class Defect(Record):
    """`fixed`: the first version without it, or None. `guard`: what the gateway does about it."""

    what: str
    guard: str
    fixed: Version | None


HARD_LINKS = Defect(
    what="a new hard link shows the size of the ciphertext, and appending to it corrupts the file (issue 724)",
    guard="hard links are refused (EPERM) in every view",
    fixed=(2, 3, 2),
)
LOST_NAMES = Defect(
    what="a directory renamed over an empty one whose name has more than 175 bytes is not listed any more",
    guard="`fsck` finds a directory that has lost its name, and names it recovered-1",
    fixed=None,
)
NEW_MODES = Defect(
    what="a directory made without rwx for its owner shows them for a second, so `cp -a` of such a directory fails",
    guard="`cp -a` of a directory that its owner cannot write to needs `chmod -R u+w` first, or `tar` instead",
    fixed=None,
)
DEFECTS = (HARD_LINKS, LOST_NAMES, NEW_MODES)


def found(version: Version) -> Iterator[Defect]:
    """The defects that this version has."""
    for defect in DEFECTS:
        if defect.fixed is None or version < defect.fixed:
            yield defect


def parse(text: str) -> Version:
    """The version in what `gocryptfs -version` prints; UNKNOWN if there is none."""
    name, _, rest = text.partition(" ")
    numbers = [*_numbers(rest.removeprefix("v").split(";")[0].split("-")[0]), 0, 0]
    return (numbers[0], numbers[1], numbers[2]) if name == "gocryptfs" and len(numbers) > 3 else UNKNOWN


def _numbers(text: str) -> list[int]:
    """Those of "2.3.1", up to the first part that is none."""
    parts = text.strip().split(".")
    return [int(part) for part in parts[: next((at for at, part in enumerate(parts) if not part.isdecimal()), None)]]


def installed(run: str) -> Version:
    """The version of the installed gocryptfs. Raises Misconfigured if there is none.

    Asking it takes 20 ms, so the answer is kept in the run directory, under a name that changes with the program. The
    answer can be trusted as much as the records of sessions there: only the gateway's account can write it.
    """
    gocryptfs.require()
    program = os.stat(gocryptfs.PROGRAM)
    numbers = program.st_dev, program.st_ino, program.st_size, program.st_mtime_ns, program.st_ctime_ns
    path = os.path.join(run, "-".join(("gocryptfs", *(f"{number:x}" for number in numbers))))
    try:
        return parse(files.read(path, 4096).decode(errors="replace"))
    except OSError:
        text = gocryptfs.version_text()
    with contextlib.suppress(OSError):  # a full run directory costs the time again, and nothing else
        files.replace(path, text, durable=False)
    return parse(text)
