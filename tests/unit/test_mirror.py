"""A tree is made as another one is, from whatever an earlier attempt left; two trees are compared completely."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.base.tree.compare import Comparison
from gateway.base.tree.descent import CHANGE, Descent
from gateway.base.tree.mirror import Mirror

HOLE = 1 << 21
BIG = 3 << 20
"""Bytes: more than is read at once."""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A tree with everything that a project can have."""
    top = tmp_path / "source"
    (top / "sub" / "below").mkdir(parents=True)
    (top / "file").write_text("content")
    (top / "big").write_bytes(bytes(range(256)) * (BIG >> 8))
    (top / "empty").touch()
    with (top / "hole").open("wb") as file:
        file.seek(HOLE)
        file.write(b"end")
        file.truncate(2 * HOLE)
    (top / "sub" / "one").write_text("linked")
    os.link(top / "sub" / "one", top / "sub" / "below" / "two")
    os.link(top / "sub" / "one", top / "three")
    (top / "other").write_text("linked")
    for name in ("other2", "other3"):
        os.link(top / "other", top / name)
    for name in ("three", "other"):  # so that nothing but the links tells them apart
        os.utime(top / name, ns=(3, 3))
    (top / "link").symlink_to("nowhere")
    os.mkfifo(top / "fifo")
    (top / os.fsdecode(b"\xff name")).write_text("no UTF-8")
    (top / ("n" * 255)).write_text("long")
    for path in (top / "file", top / "sub"):
        os.setxattr(path, "user.colour", b"red")
    (top / "file").chmod(0o4640)
    (top / "empty").chmod(0)
    os.utime(top / "link", ns=(1, 987654321), follow_symlinks=False)
    os.utime(top / "sub", ns=(5, 1234567890))
    (top / "sub").chmod(0o500)
    os.utime(top, ns=(5, 1))
    return top


def mirror(source: Path, target: Path, stop_after: int = 0) -> int:
    """How many entries that are no directories were done; `stop_after` so many it is killed."""
    done = 0

    def told(_size: int) -> None:
        nonlocal done
        done += 1
        if done == stop_after:
            raise KeyboardInterrupt

    target.mkdir(exist_ok=True)
    descents = Descent(str(source)), Descent(str(target), CHANGE)
    try:
        Mirror(*descents, f".links-{os.urandom(4).hex()}", told).run()
    finally:
        for one in descents:
            one.close()
    return done


def differing(source: Path, target: Path) -> set[str]:
    descents = Descent(str(source)), Descent(str(target))
    try:
        return {"/".join(place) for place in Comparison(*descents, lambda _: None).run()}
    finally:
        for one in descents:
            one.close()


def is_same(source: Path, target: Path) -> bool:
    """Also by other means than ours: rsync names what it would change, of contents and all attributes."""
    options = ["-rlptDSXHn", "--checksum", "--delete", "--modify-window=-1", "--out-format=%i %n"]
    done = subprocess.run(["rsync", *options, f"{source}/", f"{target}/"], capture_output=True, check=False)
    return (done.stdout, done.stderr, differing(source, target)) == (b"", b"", set())


def test_a_tree_comes_out_as_it_went_in(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    mirror(source, target)
    assert is_same(source, target)
    assert (target / "hole").stat().st_blocks * 512 < HOLE
    assert len({path.stat().st_ino for path in (target / "three", target / "sub/one", target / "sub/below/two")}) == 1
    assert (target / "three").stat().st_ino != (target / "other").stat().st_ino
    assert not [name for name in os.listdir(target) if name.startswith(".links")]


@pytest.mark.parametrize("after", range(1, 15, 3))
def test_an_interrupted_copy_is_continued_and_what_is_done_is_not_done_again(
    source: Path, tmp_path: Path, after: int
) -> None:
    target = tmp_path / "target"
    with pytest.raises(KeyboardInterrupt):
        mirror(source, target, stop_after=after)
    kept = {path: path.lstat().st_ctime_ns for path in target.rglob("*") if path.is_file() and not path.is_symlink()}
    mirror(source, target)
    assert is_same(source, target)
    single = [path for path in kept if path.exists() and path.stat().st_nlink == 1]
    assert len([path for path in single if path.stat().st_ctime_ns != kept[path]]) <= 1


def swap_links(top: Path) -> None:
    """The same names, contents and times, and other links."""
    for name in ("three", "other2"):
        (top / name).unlink()
    os.link(top / "other", top / "three")
    os.link(top / "sub" / "one", top / "other2")


def exchange_types(top: Path) -> None:
    (top / "file").unlink()
    (top / "file").mkdir()
    (top / "file" / "x").touch()
    shutil.rmtree(top / "sub")
    (top / "sub").write_text("now a file")


def lead_elsewhere(link: Path) -> None:
    link.unlink()
    link.symlink_to("nowherE")


def become_a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


CHANGES: list[tuple[str, Callable[[Path], object]]] = [
    ("content", lambda top: (top / "file").write_text("changed")),
    ("mode", lambda top: (top / "file").chmod(0o600)),
    ("links", swap_links),
    ("types", exchange_types),
    ("removed", lambda top: (top / "big").unlink()),
    ("renamed directory", lambda top: (top / "sub").rename(top / "bus")),
    ("link", lambda top: lead_elsewhere(top / "link")),
]


@pytest.mark.parametrize("change", [pytest.param(change, id=name) for name, change in CHANGES])
def test_a_source_that_changed_between_two_attempts_is_followed(
    source: Path, tmp_path: Path, change: Callable[[Path], object]
) -> None:
    target = tmp_path / "target"
    mirror(source, target)
    (source / "sub").chmod(0o700)
    change(source)
    mirror(source, target)
    assert is_same(source, target)


def keep_times(change: Callable[[Path], object], name: str) -> Callable[[Path], object]:
    def changed(top: Path) -> None:
        before = (top / name).lstat()
        change(top / name)
        os.utime(top / name, ns=(before.st_atime_ns, before.st_mtime_ns), follow_symlinks=False)

    return changed


def flip(at: int) -> Callable[[Path], object]:
    def change(path: Path) -> None:
        with path.open("r+b") as file:
            file.seek(at)
            byte = file.read(1)
            file.seek(at)
            file.write(bytes([byte[0] ^ 1]))

    return change


def unlink_copy(top: Path) -> None:
    shutil.copy2(top / "three", top / "tmp")
    (top / "tmp").rename(top / "three")


DIFFERENCES: list[tuple[str, Callable[[Path], object], set[str]]] = [
    ("content", keep_times(flip(3), "file"), {"file"}),
    ("the last byte", keep_times(flip(BIG - 1), "big"), {"big"}),
    ("in a hole", keep_times(flip(HOLE // 2), "hole"), {"hole"}),
    ("size", keep_times(lambda path: path.write_text("content!"), "file"), {"file"}),
    ("mode", lambda top: (top / "file").chmod(0o641), {"file"}),
    ("mode of a directory", lambda top: (top / "sub" / "below").chmod(0o711), {"sub/below"}),
    ("time", lambda top: os.utime(top / "file", ns=(1, (top / "file").stat().st_mtime_ns + 1)), {"file"}),
    ("attribute", lambda top: os.setxattr(top / "file", "user.colour", b"rot"), {"file"}),
    ("attribute of a directory", lambda top: os.setxattr(top / "sub", "user.x", b""), {"sub"}),
    ("attribute of the top", lambda top: os.setxattr(top, "user.x", b""), {""}),
    ("missing", keep_times(lambda top: (top / "empty").unlink(), "."), {"empty"}),
    ("more", keep_times(lambda top: (top / "more").touch(), "."), {"more"}),
    ("destination", keep_times(lead_elsewhere, "link"), {"link"}),
    ("no link", keep_times(unlink_copy, "."), {"three", "sub/one", "sub/below/two"}),
    ("other links", keep_times(swap_links, "."), {"three", "other2"}),
    ("type", keep_times(become_a_directory, "fifo"), {"fifo"}),
]


@pytest.mark.parametrize(
    ("change", "found"), [pytest.param(change, found, id=name) for name, change, found in DIFFERENCES]
)
def test_a_comparison_finds_each_difference(
    source: Path, tmp_path: Path, change: Callable[[Path], object], found: set[str]
) -> None:
    target = tmp_path / "target"
    mirror(source, target)
    before = target.lstat()
    (target / "sub").chmod(0o500 if os.geteuid() == 0 else 0o700)
    change(target)
    os.utime(target, ns=(before.st_atime_ns, before.st_mtime_ns))
    said = differing(source, target) - ({"sub"} if os.geteuid() else set())
    assert said - found <= {"other", "other2", "other3", "sub/one", "sub/below/two"} and said & found, said
    assert differing(target, source), "from the other side, too"
