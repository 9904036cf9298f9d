"""When a session of a cluster ends by itself: its heartbeat is missing, or the copy of authorized_keys is too old."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.base.clock import boottime
from gateway.cluster import freshness, places
from gateway.warden import cluster_watch
from gateway.warden.cluster_watch import ClusterWatch, beat
from gateway.warden.loop import Loop


class Session:
    """A watch whose clock, heartbeat and copy the test has."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.age, self.ended = 1000.0, 0.0, list[str]()
        monkeypatch.setattr(cluster_watch, "boottime", lambda: self.now)
        monkeypatch.setattr(cluster_watch, "_LOOK_SECONDS", 0.0)
        self.loop = Loop()
        reader, self.writer = os.pipe()
        self.watch = ClusterWatch(self.loop, reader, lambda: self.age, 10.0, self.ended.append)

    def after(self, seconds: float, beats: bool = True) -> list[str]:
        """Why it has ended after that time and two looks."""
        self.now += seconds
        if beats:
            os.write(self.writer, b".")
        for _ in range(2):
            self.loop.at(0.0, self.loop.stop)
            self.loop.at(0.05, self.loop.stop)
            self.loop._running = True
            self.loop.run()
        return self.ended


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    before = signal.getsignal(signal.SIGCHLD)
    yield Session(monkeypatch)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, before)


def test_a_session_whose_heart_beats_goes_on(session: Session) -> None:
    for _ in range(5):
        assert session.after(19.0) == []


def test_a_session_without_a_heartbeat_for_twenty_seconds_has_lost_its_disk(session: Session) -> None:
    assert session.after(19.0, beats=False) == []
    assert session.after(2.0, beats=False)[0] == "storage-lost"


def test_a_heartbeat_that_fails_is_a_disk_that_is_lost_at_once(session: Session) -> None:
    os.close(session.writer)
    assert session.after(1.0, beats=False)[0] == "storage-lost"


def test_a_copy_of_the_keys_that_is_too_old_in_two_looks_ends_it(session: Session) -> None:
    session.age = 10.0
    assert session.after(1.0) == []
    session.age = 10.1
    assert session.after(1.0)[0] == "keys-stale"


def test_one_look_at_a_copy_that_is_too_old_ends_nothing(monkeypatch: pytest.MonkeyPatch, session: Session) -> None:
    """A host that was suspended: who makes the copy has its turn after that."""
    ages = iter([99.0, 0.0])
    monkeypatch.setattr(session.watch, "_age", lambda: next(ages, 0.0))
    assert session.after(1.0) == []


def failing(number: int) -> Callable[..., None]:
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


class EnoughError(Exception):
    """Of beats."""


def beats(path: Path, most: int = 3) -> int:
    """How many, until it ends or there are enough."""
    told = list[bytes]()

    def tell(said: bytes) -> None:
        told.append(said)
        if len(told) == most:
            raise EnoughError

    with contextlib.suppress(EnoughError):
        beat(str(path), tell, 0.0)
    return len(told)


def test_a_beat_is_on_the_disk_before_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = list[str]()
    monkeypatch.setattr(os, "fdatasync", lambda fd: synced.append(os.readlink(f"/proc/self/fd/{fd}")))
    path = tmp_path / ".heartbeat" / "s-1"
    assert beats(path) == 3
    assert synced == [str(path)] * 3


@pytest.mark.parametrize("number", [errno.EIO, errno.ESHUTDOWN, errno.ENOTCONN, errno.EROFS, errno.ENOENT])
def test_a_disk_that_fails_ends_the_beats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    monkeypatch.setattr(os, "fdatasync", failing(number))
    assert beats(tmp_path / ".heartbeat" / "s-1") == 0


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EACCES])
def test_a_full_disk_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Who has filled it must be able to delete something."""
    monkeypatch.setattr(os, "fdatasync", failing(number))
    assert beats(tmp_path / ".heartbeat" / "s-1") == 3
    monkeypatch.setattr(os, "mkdir", failing(number))
    monkeypatch.setattr(os, "open", failing(number))
    assert beats(tmp_path / ".heartbeat" / "s-2") == 3


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EACCES])
@pytest.mark.parametrize("call", ["pwrite", "open", "mkdir"])
def test_a_full_disk_is_asked_each_time_whether_it_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, call: str
) -> None:
    """Ceph's client says by itself that a quota of bytes or of files is used up, and that a file is not there, also
    when it was cut off or thrown out. It never says by itself that an attribute is not there.
    """
    path, asked, removexattr = tmp_path / ".heartbeat" / "s-1", list[str](), os.removexattr
    monkeypatch.setattr(os, call, failing(number))

    def ask(one: str, name: str, follow_symlinks: bool) -> None:
        asked.append(one)
        removexattr(one, name, follow_symlinks=follow_symlinks)

    monkeypatch.setattr(os, "removexattr", ask)
    descriptors = len(os.listdir("/proc/self/fd"))
    assert beats(path) == 3 and asked[-1] == str(path if call == "pwrite" else tmp_path) and len(asked) >= 3
    assert len(os.listdir("/proc/self/fd")) <= descriptors + (call == "pwrite")
    monkeypatch.setattr(os, "removexattr", failing(errno.ENOSPC))
    assert beats(path) == 3, "the server of a full disk says so of an attribute as well"
    for gone in (errno.ESHUTDOWN, errno.ENOTCONN, errno.EIO, errno.EROFS, errno.ENOENT):
        monkeypatch.setattr(os, "removexattr", failing(gone))
        assert beats(path) == 0


@pytest.mark.parametrize(("mode", "told"), [(0o600, 3), (0o400, 0)])
def test_a_denial_is_an_answer_to_who_may_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int, told: int
) -> None:
    """Ceph's server says it on a full disk (16.2), and its client by itself to who may not."""
    path = tmp_path / ".heartbeat" / "s-1"
    assert beats(path) == 3
    path.chmod(mode)
    monkeypatch.setattr(os, "pwrite", failing(errno.ENOSPC))
    monkeypatch.setattr(os, "removexattr", failing(errno.EACCES))
    assert beats(path) == told


def test_a_copy_of_another_boot_is_infinitely_old(tmp_path: Path) -> None:
    """Its time may lie before this one's: in a directory that outlives a boot, it would be fresh until then."""
    fresh = tmp_path / places.FRESH
    fresh.touch()
    os.utime(fresh, ns=(0, int((boottime() + 3600) * 1e9)))
    assert freshness.age(str(tmp_path)) == float("inf")


def test_a_copy_that_was_never_complete_is_infinitely_old(tmp_path: Path) -> None:
    assert freshness.age(str(tmp_path)) == float("inf")
    fresh = tmp_path / places.FRESH
    fresh.touch()
    os.utime(fresh, ns=(int(1e9), int((boottime() - 3) * 1e9)))
    assert 3 <= freshness.age(str(tmp_path)) < 60
