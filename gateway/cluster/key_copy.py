"""Copy the master of authorized_keys to where this host's sshd reads it.

The master decides who may log in, so what sshd would refuse is not copied: a file that others than root can write to,
or replace.
An editor replaces the file, or writes it in place: for a moment it is missing, or has half of its lines. So a line is
gone when it is gone in two looks in a row, and until then the copy has it still. A master that cannot be read, or a
directory that is not the cluster's (it is not mounted), says nothing about keys: the copy stays, and gets old
(gateway.cluster.mirror).
"""

from __future__ import annotations

import os

from gateway.base import files
from gateway.base.clock import boottime
from gateway.cluster import places
from gateway.errors import Misconfigured
from gateway.identity import authorized_keys, strict_modes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.config.schema import Config

    Stamp = tuple[int, ...]

_SETTLED_SECONDS = 2.0
"""After a change was seen, the master is read at each look for so long: two edits within one tick of the file system's
clock can leave it the same size and times. It counts by our own clock, for another host's may be wrong.
"""


class Unreadable(Exception):
    """Which keys are good is not known. Its text says why."""


class KeyCopy:
    """Call `look` again and again, after DOUBT_SECONDS (gateway.identity.key_status) while `is_in_doubt`."""

    def __init__(self, config: Config) -> None:
        self._directory = config.cluster_directory
        self._master = places.keys(config)
        self._copy = config.paths_authorized_keys
        self._seen: Stamp | None = None
        self._seen_at = 0.0
        self._written: Stamp = ()
        self._doubted: frozenset[bytes] = frozenset()

    @property
    def is_in_doubt(self) -> bool:
        """Whether a line was gone in the last look."""
        return bool(self._doubted)

    def look(self) -> None:
        """Make the copy what the master is. Raises Unreadable when that cannot be known, OSError when the copy cannot
        be written. It may hang as long as the store does.
        """
        stamp = self._stamp()
        seen_at = self._seen_at if stamp == self._seen else boottime()
        if self._is_as_written() and not self._doubted and boottime() - seen_at > _SETTLED_SECONDS:
            return
        self._seen = None  # what cannot be read or written now is not done with at the next look
        content = _checked(self._master) if stamp else b""
        self._write(content + self._kept(content))
        self._seen, self._seen_at = stamp, seen_at

    def _stamp(self) -> Stamp:
        """What changes with the master; () when there is none. Raises Unreadable."""
        try:
            return _stamp(os.stat(self._master))
        except FileNotFoundError:
            if os.path.isdir(os.path.join(self._directory, places.HOSTS)):
                return ()
            problem = f"{self._directory} is not the cluster's; is the shared disk mounted?"
        except OSError as error:
            problem = f"{self._master}: {error.strerror}"
        raise Unreadable(problem)

    def _kept(self, content: bytes) -> bytes:
        """The lines of the copy that are not in `content` for the first time, to be appended to it."""
        there = frozenset(content.split(b"\n"))
        gone = [line for line in self._read().split(b"\n") if line and line not in there]
        kept = [line for line in gone if line not in self._doubted]
        self._doubted = frozenset(kept)
        between = b"\n" if kept and content and not content.endswith(b"\n") else b""
        return between + b"".join(line + b"\n" for line in kept)

    def _read(self) -> bytes:
        """The copy; nothing of one that we did not make."""
        try:
            return authorized_keys.read_bytes(self._copy)
        except Misconfigured:
            return b""

    def _write(self, content: bytes) -> None:
        if not (self._is_as_written() and self._read() == content):
            files.replace(self._copy, content, 0o644, durable=False)
            self._written = _stamp(os.stat(self._copy))

    def _is_as_written(self) -> bool:
        try:
            return _stamp(os.stat(self._copy)) == self._written
        except FileNotFoundError:
            return False


def _stamp(found: os.stat_result) -> Stamp:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _checked(path: str) -> bytes:
    """The content of the master. Raises Unreadable, also when others can replace it."""
    try:
        content = authorized_keys.read_bytes(path)
        weak = next(strict_modes.examine(path), None)
    except Misconfigured as error:
        raise Unreadable(error.line()) from error
    except OSError as error:
        raise Unreadable(f"{path}: {error.strerror}") from error
    if weak:
        raise Unreadable(f"{weak.problem}; {weak.fix}")
    return content
