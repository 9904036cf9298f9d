"""Trees of any depth: walked with few descriptors, copied with all that they have, removed whatever their modes are."""

from __future__ import annotations

import errno
import os
import resource
import socket
import stat
import subprocess
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.base.tree import walk
from gateway.base.tree.copy import Copy
from gateway.base.tree.descent import CHANGE, OPEN, Descent
from gateway.limits.disk import usage
from tests.harness import need

LEVELS = 1200
NOBODY = 65534


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that anybody can use; pytest's own are closed to others."""
    directory = Path(tempfile.mkdtemp(prefix="enc-tree-"))
    directory.chmod(0o777)
    yield directory
    subprocess.run(["rm", "-rf", directory], check=True)


def deep(top: Path, levels: int = LEVELS, name: str = "n" * 255, mode: int = 0o700) -> None:
    """Make `levels` directories in one another with a file in each."""
    top.mkdir()
    fd = os.open(top, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir(name, dir_fd=fd)
        below = os.open(name, os.O_RDONLY, dir_fd=fd)
        os.close(os.open("f", os.O_CREAT | os.O_WRONLY, 0o600, dir_fd=below))
        os.fchmod(fd, mode)
        os.close(fd)
        fd = below
    os.close(fd)


def as_nobody(work: Callable[[], object]) -> None:
    """Do it in a child that is not root, with few descriptors."""
    pid = os.fork()
    if pid == 0:
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setresgid(NOBODY, NOBODY, NOBODY)
                os.setresuid(NOBODY, NOBODY, NOBODY)
            work()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def entries(top: Path) -> int:
    descent = Descent(str(top))
    try:
        return sum(len(found) for found in walk.walk(descent, walk.stop))
    finally:
        descent.close()


def test_depth_costs_no_descriptors(place: Path) -> None:
    def work() -> None:
        free = max(map(int, os.listdir("/proc/self/fd")))
        resource.setrlimit(resource.RLIMIT_NOFILE, (free + OPEN + 8, free + OPEN + 8))
        deep(place / "deep")
        assert entries(place / "deep") == 2 * LEVELS
        assert walk.remove(str(place / "deep")) is None

    as_nobody(work)
    assert not (place / "deep").exists()


def test_what_chmod_closes_is_read_and_stays_closed(place: Path) -> None:
    def work() -> None:
        deep(place / "deep", 100, mode=0)
        assert entries(place / "deep") == 200
        assert usage.size(str(place / "deep")) == (200 * 4096, True)

    as_nobody(work)
    found = [os.lstat(place / "deep").st_mode]
    descent = Descent(str(place / "deep"))
    for each in walk.walk(descent, walk.stop):
        found += [status.st_mode for status in each.values() if stat.S_ISDIR(status.st_mode)]
    descent.close()
    assert len(found) == 101 and not any(stat.S_IMODE(mode) for mode in found[:-1])


def test_a_walk_that_is_given_up_puts_the_modes_back(place: Path) -> None:
    def work() -> None:
        deep(place / "deep", 50, mode=0)
        assert usage.size(str(place / "deep"), -1)[1] is False
        descent = Descent(str(place / "deep"))
        walked = walk.walk(descent, walk.stop)
        for _ in range(40):
            next(walked)
        descent.close()

    as_nobody(work)
    assert stat.S_IMODE(os.lstat(place / "deep").st_mode) == 0
    assert stat.S_IMODE(os.lstat(place / "deep" / ("n" * 255)).st_mode) == 0


def test_a_closed_file_is_opened_and_stays_closed(place: Path) -> None:
    def work() -> None:
        (place / "f").write_text("secret")
        (place / "f").chmod(0)
        descent = Descent(str(place))
        fd = descent.open_file("f")
        assert os.read(fd, 10) == b"secret"
        (place / "link").symlink_to("f")
        (place / "d").mkdir()
        for name in ("link", "d"):
            with pytest.raises(OSError):
                descent.open_file(name)

    as_nobody(work)
    assert stat.S_IMODE((place / "f").stat().st_mode) == 0


def test_no_link_is_followed(place: Path) -> None:
    (place / "real").mkdir()
    (place / "real" / "in").touch()
    (place / "link").symlink_to("real")
    with pytest.raises(NotADirectoryError):
        Descent(str(place / "link"))
    descent = Descent(str(place))
    with pytest.raises(NotADirectoryError):
        descent.down("link")
    descent.close()
    assert walk.remove(str(place / "link")) is None
    assert (place / "real" / "in").exists()


@pytest.mark.parametrize("way_back", [True, False], ids=["found from the top", "nowhere"])
def test_a_directory_that_is_moved_meanwhile_leads_nowhere_else(place: Path, way_back: bool) -> None:
    deep(place / "deep", 3 * OPEN, "d")
    (place / "trap").mkdir()
    before = len(os.listdir("/proc/self/fd"))
    descent = Descent(str(place / "deep"))
    inodes = [descent.inode]
    for _ in range(3 * OPEN):
        descent.down("d")
        inodes.append(descent.inode)
    assert len(os.listdir("/proc/self/fd")) <= before + OPEN + 1
    os.rename(place / "deep" / Path(*["d"] * OPEN), place / "trap" / "moved")
    if way_back:
        while descent.depth:
            assert descent.inode == inodes.pop()
            descent.up()
    else:
        os.rename(place / "deep" / "d", place / "deep" / "e")
        with pytest.raises(OSError) as raised:
            while True:
                descent.up()
                assert descent.inode in inodes
        assert raised.value.errno in (errno.ESTALE, errno.ENOENT)
    descent.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_what_cannot_be_removed_is_told_and_the_rest_goes(place: Path) -> None:
    need(os.geteuid() == 0, "not root")
    (place / "tree" / "b").mkdir(parents=True)
    (place / "tree" / "a").touch()
    (place / "tree" / "b" / "foreign").touch()
    os.chown(place / "tree", NOBODY, NOBODY)

    def work() -> None:
        error = walk.remove(str(place / "tree"))
        assert isinstance(error, PermissionError)

    as_nobody(work)
    assert sorted(path.name for path in (place / "tree").rglob("*")) == ["b", "foreign"]


def copied(source: Path, target: Path, names: tuple[str, ...]) -> None:
    target.mkdir()
    links = target.with_name("links")
    links.mkdir()
    descents = Descent(str(source)), Descent(str(target), CHANGE)
    try:
        Copy(*descents, str(links)).run(names)
    finally:
        for descent in descents:
            descent.close()
        walk.remove(str(links))


@pytest.mark.parametrize("root", [True, False], ids=["by root", "by its owner"])
def test_a_copy_has_all_that_the_tree_has(place: Path, root: bool) -> None:
    need(os.geteuid() == 0, "what is compared is closed")
    source = place / "source"
    (source / "t" / "closed").mkdir(parents=True)
    with (source / "t" / "hole").open("wb") as file:
        file.write(b"begin")
        file.seek(1 << 30)
        file.write(b"end")
        file.truncate(2 << 30)
    with (source / "t" / "all hole").open("wb") as file:
        file.truncate(1 << 30)
    (source / "t" / ("n" * 255)).write_text("long")
    os.setxattr(source / "t" / ("n" * 255), "user.note", b"\0\1")
    os.setxattr(source / "t", "user.of", b"directory")
    os.link(source / "t" / ("n" * 255), source / "t" / "closed" / "again")
    (source / "t" / "to").symlink_to("nowhere")
    os.link(source / "t" / "to", source / "t" / "to too", follow_symlinks=False)
    os.mkfifo(source / "t" / "fifo", 0o640)
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(f"/proc/self/fd/{os.open(source / 't', os.O_RDONLY)}/socket")
    for name, mode in (("hole", 0), ("closed", 0), ("fifo", 0o604)):
        (source / "t" / name).chmod(mode)
    for number, path in enumerate(sorted(source.rglob("*"))):
        os.utime(path, ns=(1, -(10**18) + number + 123456789 if number % 2 else 10**18 + number), follow_symlinks=False)
    os.setxattr(source / "t" / "hole", "user.closed", b"x")
    (source / "other").touch()
    if not root:
        for path in (source, *source.rglob("*")):
            os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
        as_nobody(lambda: copied(source, place / "copy", ("t",)))
    else:
        copied(source, place / "copy", ("t",))

    def seen(top: Path) -> dict[str, tuple[object, ...]]:
        found: dict[str, tuple[object, ...]] = {}
        for path in [top, *top.rglob("*")]:
            status = path.lstat()
            xattrs = {} if path.is_symlink() else {name: os.getxattr(path, name) for name in os.listxattr(path)}
            content = path.read_bytes()[:10] if path.is_file() and status.st_size < 1000 else b""
            said = os.readlink(path) if path.is_symlink() else ""
            size = 0 if path.is_dir() else status.st_size
            links = 0 if path.is_dir() else status.st_nlink
            found[str(path.relative_to(top))] = (status.st_mode, size, links, status.st_mtime_ns, xattrs, content, said)
        return found

    assert seen(place / "copy" / "t") == seen(source / "t")
    assert not (place / "copy" / "other").exists()
    assert (place / "copy" / "t" / "hole").stat().st_blocks < 100
    assert (place / "copy" / "t" / "all hole").stat().st_blocks == 0
    same = [(place / "copy" / "t" / name).stat().st_ino for name in ("n" * 255, "closed/again")]
    assert same[0] == same[1]
    with (place / "copy" / "t" / "hole").open("rb") as read:
        assert os.pread(read.fileno(), 3, 1 << 30) == b"end"


def test_a_deep_tree_is_copied_by_who_is_not_root(place: Path) -> None:
    def work() -> None:
        (place / "source").mkdir()
        deep(place / "source" / "t", mode=0o500)
        copied(place / "source", place / "copy", ("t",))
        assert entries(place / "copy" / "t") == 2 * LEVELS
        assert stat.S_IMODE((place / "copy" / "t").stat().st_mode) == 0o500

    as_nobody(work)


def test_a_device_is_not_copied_and_is_named(place: Path) -> None:
    need(os.geteuid() == 0, "not root")
    (place / "source" / "t").mkdir(parents=True)
    os.mknod(place / "source" / "t" / "null", 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    with pytest.raises(OSError) as raised:
        copied(place / "source", place / "copy", ("t",))
    assert (raised.value.filename, raised.value.strerror) == ("t/null", "it is a device")


def test_links_count_once_and_holes_not_at_all(place: Path) -> None:
    (place / "d").mkdir()
    (place / "d" / "f").write_bytes(os.urandom(2_000_000))
    for number in range(9):
        os.link(place / "d" / "f", place / "d" / f"again{number}")
    with (place / "d" / "hole").open("wb") as file:
        file.truncate(1 << 30)
    assert 2_000_000 <= usage.size(str(place / "d"))[0] < 2_100_000


def test_what_lies_deep_counts(place: Path) -> None:
    deep(place / "deep")
    assert usage.size(str(place / "deep")) == (2 * LEVELS * 4096, True)
