"""A session of a host that shares its vaults with others ends by itself before another host can take what it holds.

The file system throws a host out that it does not hear of for 30 s, and then gives its locks to others. So a child
writes a file in the principal's vaults to the disk every BEAT_SECONDS. When that has not succeeded for LOST_SECONDS, or
fails at once, as it does for a host that has been thrown out, the session ends. That asks the disk for nothing: it may
never answer.

The copy of authorized_keys is looked at as well (gateway.cluster.places): when it is too old, nobody knows whose keys
are good. Two looks in a row decide, for what stops everything at once (a suspended host) lets the clock run on, and
who makes the copy has to have its turn after it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time

from gateway.base import files, process
from gateway.base.clock import boottime
from gateway.cluster import freshness
from gateway.errors import EncError
from gateway.sandbox import paths
from gateway.vault.store import HEARTBEATS
from gateway.warden.loop import READ, Loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.session.spec import Cluster, Spec

BEAT_SECONDS = 5.0
LOST_SECONDS = 20.0
_LOOK_SECONDS = 1.0
_BEAT = b"."
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EACCES)
"""What a full disk says, or a quota that is used up (Ceph 16.2 says EACCES of some calls); or Ceph's client here, by
what it was told last: it may have been cut off since.
"""
_NO_ATTRIBUTE = "user.enc-no-such"
_ANSWERS = (errno.ENOSPC, errno.EDQUOT, errno.ENODATA, errno.ENOTSUP)
"""What is said of an attribute that is not there; ENOSPC by the server of a full disk."""


class ClusterWatch:
    """Calls `end` with `storage-lost` or `keys-stale` when it is time. `beats` is what the heartbeat's child tells, and
    `age` the age of the copy of authorized_keys in seconds, of which `stale` is too old.
    """

    def __init__(
        self, loop: Loop, beats: int, age: Callable[[], float], stale: float, end: Callable[[str], None]
    ) -> None:
        self._loop = loop
        self._beats = beats
        self._age = age
        self._stale = stale
        self._end = end
        self._last = boottime()
        self._was_stale = False
        loop.watch(beats, READ, lambda _: self._heard())
        self._look()

    def _heard(self) -> None:
        if os.read(self._beats, 4096):
            self._last = boottime()
            return
        self._loop.unwatch(self._beats)
        os.close(self._beats)
        self._end("storage-lost")

    def _look(self) -> None:
        if boottime() - self._last > LOST_SECONDS:
            self._end("storage-lost")
            return
        is_stale = self._age() > self._stale
        if is_stale and self._was_stale:
            self._end("keys-stale")
            return
        self._was_stale = is_stale
        self._loop.at(_LOOK_SECONDS, self._look)


def begin(loop: Loop, spec: Spec, cluster: Cluster, end: Callable[[str], None]) -> None:
    """Watch for an open session."""
    path = os.path.join(paths.VAULTS, HEARTBEATS, spec.id)
    try:
        _, beats = process.fork(lambda tell: beat(path, tell))
    except EncError:  # the host has nothing left for a child: who cannot tell does not hold anything
        end("storage-lost")
        return
    ClusterWatch(loop, beats, lambda: freshness.age(_copy(spec)), cluster.stale, end)


def require_fresh(spec: Spec, cluster: Cluster) -> None:
    """Raise Misconfigured when the copy is too old for a request: two looks are a second apart, and a host that was
    suspended is asked before the first.
    """
    freshness.require(_copy(spec), cluster.stale)


def _copy(spec: Spec) -> str:
    return os.path.dirname(os.path.join(paths.KEYS, spec.keys.name))


def beat(path: str, tell: Callable[[bytes], object], seconds: float = BEAT_SECONDS) -> None:
    """In a child: write the file at `path` to the disk again and again, and tell each time. It ends when that fails,
    with our session, and when nobody listens any more.
    """
    fd = -1
    while True:
        try:
            fd = _open(path) if fd < 0 else fd
            os.pwrite(fd, b"%d\n" % time.time(), 0)
            os.fdatasync(fd)
        except OSError as error:
            if error.errno not in _FULL or not _answers(path):
                return
        tell(_BEAT)
        time.sleep(seconds)


def _answers(path: str) -> bool:
    """Whether a disk that is full answers: an attribute that is not there is removed from our file, or from the
    principal's directory if it could not be made. That needs no space, changes nothing, and Ceph's client never says it
    by itself, as it says that a file is not there.
    """
    for asked in (path, os.path.dirname(os.path.dirname(path))):
        try:
            os.removexattr(asked, _NO_ATTRIBUTE, follow_symlinks=False)
        except FileNotFoundError:
            continue
        except PermissionError:
            return _is_ours(asked)
        except OSError as error:
            return error.errno in _ANSWERS
        return True
    return False


def _is_ours(path: str) -> bool:
    """Whether only a server can have denied us to write there: Ceph's client denies by owner and mode."""
    try:
        found = os.lstat(path)
    except OSError:
        return False
    return found.st_uid == os.geteuid() and bool(found.st_mode & stat.S_IWUSR)


def _open(path: str) -> int:
    with contextlib.suppress(FileExistsError):
        os.mkdir(os.path.dirname(path), 0o700)
    return files.open_regular(path, os.O_WRONLY | os.O_CREAT)
