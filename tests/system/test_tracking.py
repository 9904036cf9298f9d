"""Following file I/O: the watch set is right, no directory is listed twice; where it ends, counters see who works."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyinotify
import pytest

from gateway.warden.loop import READ, Loop
from gateway.warden.tracking import watch_set
from gateway.warden.tracking.tracker import Tracker
from tests.harness import PASSPHRASE, Gateway, Person, eventually, need
from tests.life import SLACK, keep_doing, lock_reasons, sshfs

LIMIT = 5


class _Enough(Exception):
    """Ends a run of the loop, and nothing else."""


class Followed:
    """A view of stock gocryptfs at `root`, and a tracker on it once `follow` is called."""

    def __init__(self, place: Path) -> None:
        self.root, cipher = place / "view", place / "cipher"
        for directory in (cipher, self.root):
            directory.mkdir()
        words = ["gocryptfs", "-q", "-nosyslog"]
        made = [*words, "-init", "-scryptn", "10", str(cipher)]
        subprocess.run(made, input=PASSPHRASE, text=True, check=True)
        self._server = subprocess.Popen([*words, "-fg", str(cipher), str(self.root)], stdin=subprocess.PIPE, text=True)
        assert self._server.stdin
        self._server.stdin.write(PASSPHRASE + "\n")
        self._server.stdin.close()
        eventually(lambda: os.path.ismount(self.root) or self._server.poll() is not None)
        self._loop = Loop()
        self._enough, self._stop = os.pipe()  # an exception of a timer would take other timers that are due with it
        self._loop.watch(self._enough, READ, self._end_of_run)
        self._heard: list[str] = []
        self.reasons: list[str] = []

    def follow(self) -> Tracker:
        def incomplete(reason: str, _error: str) -> None:
            self.reasons.append(reason)

        self.tracker = Tracker(self._loop, str(self.root), self._server.pid, self._heard.append, incomplete)
        return self.tracker

    def _end_of_run(self, _events: int) -> None:
        os.read(self._enough, 1)
        raise _Enough

    def heard(self, seconds: float = 0.8) -> set[str]:
        """What the tracker tells within `seconds`."""
        self._heard.clear()
        threading.Timer(seconds, os.write, (self._stop, b".")).start()
        with contextlib.suppress(_Enough):
            self._loop.run()
        return set(self._heard)

    def until_watched(self, count: int) -> None:
        eventually(lambda: self.heard(0.1) is not None and self.tracker.watches == count)

    def end(self) -> None:
        self.tracker.close()
        subprocess.run(["fusermount3", "-u", "-z", str(self.root)], check=False)
        self._server.wait(10)
        os.close(self._enough)
        os.close(self._stop)


@pytest.fixture
def view(tmp_path: Path) -> Iterator[Followed]:
    """The loop's signal handling is the process's: put back afterwards."""
    before = signal.getsignal(signal.SIGCHLD)
    followed = Followed(tmp_path)
    try:
        yield followed
    finally:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, before)
        followed.end()


def test_every_directory_is_watched_and_looking_at_them_is_no_activity(view: Followed) -> None:
    for number in range(300):
        (view.root / f"{number % 10}" / f"{number}").mkdir(parents=True)
    view.follow()
    seen = set()
    while view.tracker.watches < 311:
        seen |= view.heard(0.2)
    assert not seen | view.heard(), "its own listing was taken for activity"
    assert view.reasons == []


def test_no_directory_is_listed_twice(view: Followed) -> None:
    """Counted by an inotify instance of our own, which sees every opendir."""
    directories = [view.root / f"{number}" for number in range(40)]
    for directory in directories:
        directory.mkdir()
    with _openings(directories) as count:
        view.follow()
        view.until_watched(41)
        (view.root / "0/new").mkdir()
        (view.root / "1").rename(view.root / "moved")
        (view.root / "0/new/f").write_bytes(b"x")
        view.until_watched(42)
        view.heard()
        assert set(count().values()) == {1}


@contextlib.contextmanager
def _openings(directories: list[Path]) -> Iterator[Callable[[], dict[str, int]]]:
    """How often each of `directories` was listed since."""
    manager = pyinotify.WatchManager()
    counted = {str(path): 0 for path in directories}

    def note(event: pyinotify.Event) -> None:
        if event.dir and not event.name:  # of the directory itself, and not of one in it
            counted[event.path] += 1

    notifier = pyinotify.Notifier(manager, note, timeout=50)
    manager.add_watch(list(counted), pyinotify.IN_OPEN, quiet=False)

    def count() -> dict[str, int]:
        while notifier.check_events():
            notifier.read_events()
            notifier.process_events()
        return counted

    try:
        yield count
    finally:
        notifier.stop()


def test_new_moved_and_deleted_directories_keep_the_watch_set_right(view: Followed) -> None:
    (view.root / "a/b/c").mkdir(parents=True)
    view.follow()
    view.until_watched(4)
    (view.root / "a/b/new").mkdir()
    view.until_watched(5)
    (view.root / "a").rename(view.root / "z")
    (view.root / "z/b/c/deep").mkdir()
    view.until_watched(6)
    (view.root / "z/b/c/deep/f").write_bytes(b"x")
    assert view.heard() == {"write"}
    (view.root / "z/b/c/deep/f").read_bytes()
    assert view.heard() == {"read"}
    subprocess.run(["rm", "-r", str(view.root / "z")], check=True)
    view.until_watched(1)
    assert view.reasons == []


def test_a_directory_that_moves_into_a_new_one_at_once_is_followed_on(view: Followed) -> None:
    """No event tells where it went: the new one was not watched yet."""
    (view.root / "a/b").mkdir(parents=True)
    view.follow()
    view.until_watched(3)
    view.heard()
    (view.root / "new").mkdir()
    (view.root / "a").rename(view.root / "new/a")
    view.heard()
    (view.root / "new/a/b/more").mkdir()
    view.heard()
    (view.root / "new/a/b/more/f").write_bytes(b"x")
    assert "write" in view.heard(), "an upload was taken for silence"
    assert view.reasons == []


@pytest.mark.alone  # counters are compared in a time that a busy machine may stretch
def test_where_the_scanner_ends_counters_go_on(view: Followed) -> None:
    for number in range(300):
        (view.root / f"{number}").mkdir()
    before = _children()
    view.follow()
    eventually(lambda: view.heard(0.1) is not None and view.tracker.watches > 10)
    (scanner,) = _children() - before
    assert os.getsid(scanner) == scanner, "a terminal's signals reach it"
    os.kill(scanner, signal.SIGKILL)
    view.heard(2)
    assert view.reasons == ["uncertain"]
    (view.root / "299/f").write_bytes(b"x")
    assert "read or write" in view.heard(2)


def _children() -> set[int]:
    return set(map(int, Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()))


def test_looking_is_no_activity(view: Followed) -> None:
    (view.root / "d").mkdir()
    (view.root / "d/f").write_bytes(b"x")
    view.follow()
    view.until_watched(2)
    view.heard()
    for _ in range(50):
        os.stat(view.root / "d/f")
        os.statvfs(view.root)
        os.listdir(view.root / "d")
    assert view.heard() == set()


@pytest.mark.alone  # counters are compared in a time that a busy machine may stretch
@pytest.mark.parametrize("way", ["overflow", "watch-limit"])
def test_where_the_watch_set_ends_the_counters_tell_work_from_looking(
    view: Followed, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20):
        (view.root / f"{number}").mkdir()
    if way == "watch-limit":
        monkeypatch.setattr(watch_set, "MOST_WATCHES", 5)
    view.follow()
    view.heard()
    if way == "overflow":
        _overflow(view)
    assert view.reasons == [way]
    _look(view)  # the first listing after a change writes the directory's access time into the store
    view.heard(2)
    _look(view)
    assert view.heard(2) == set(), "looking was taken for activity"
    (view.root / "19/f").write_bytes(b"x")
    assert "read or write" in view.heard(2), "one byte written"
    (view.root / "19/f").write_bytes(b"x" * 2000)
    view.heard(2)
    (view.root / "19/f").read_bytes()
    assert "read or write" in view.heard(2), "a small file read"
    assert view.reasons == [way], "it is said once"


def _look(view: Followed) -> None:
    for number in range(20):
        os.stat(view.root / f"{number}")
        os.listdir(view.root / f"{number}")


def _overflow(view: Followed) -> None:
    """More events at once than the queue holds; of one file in a row they would be one."""
    most = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    with (view.root / "0/a").open("wb", buffering=0) as one, (view.root / "0/b").open("wb", buffering=0) as other:
        for _ in range(most // 2 + 10):
            one.write(b"x")
            other.write(b"x")
    view.heard()


# through the gateway: a host that has too little


LIMITS = {
    "no-instance": "echo 0 >/proc/sys/user/max_inotify_instances",
    "watch-limit": "echo 4 >/proc/sys/user/max_inotify_watches",
}


@pytest.mark.parametrize("host", LIMITS)
def test_who_works_is_kept_and_who_does_not_is_locked_on_a_host_without_enough_inotify(
    make_gateway: Callable[..., Gateway], tmp_path: Path, host: str
) -> None:
    need(Path("/proc/sys/user/max_user_namespaces").read_text() != "0\n", "user namespaces")
    gateway = make_gateway(LIMITS[host], **{"idle.view": str(LIMIT)})
    who = gateway.person("someone")
    who.new("work")
    with who.mounted("work"), sshfs(who, "work", tmp_path / "mnt") as at:
        for number in range(8):
            (at / f"{number}").mkdir()
        keep_doing(lambda: (at / "7/f").write_bytes(b"x" * 100), 0.5, 1.6 * LIMIT)
        assert not lock_reasons(gateway, "work"), "somebody who works was locked out"
        began = time.monotonic()
        eventually(lambda: lock_reasons(gateway, "work"), LIMIT + SLACK)
        assert time.monotonic() - began > LIMIT - 1.5
    reasons = [record["reason"] for record in gateway.events("tracking")]
    assert reasons and len(set(reasons)) == len(reasons), "each is logged once"
    assert "no-instance" in reasons if host == "no-instance" else reasons == ["watch-limit"]


def test_a_removed_key_ends_its_session_on_a_host_without_watches(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway("echo 0 >/proc/sys/user/max_inotify_watches")
    who: Person = gateway.person("someone")
    who.new("work")
    with who.mounted("work"):
        gateway.authorized_keys.write_text("")
        eventually(lambda: lock_reasons(gateway, "work") == ["revoked"])
