"""A program that keeps the tracker of file I/O as busy as it can takes no way to end away, and `status` answers."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.harness import Gateway, Person, bindir, eventually, need, run
from tests.life import lock_reasons

PROMISED = 4.0
"""Seconds; 2 are promised, the rest is the machine's."""
HUNG = 8.0
"""The same for a gocryptfs that does not answer."""
NAMES = 150_000
DIRECTORIES = 2_000

MANY = """
import os
for number in range(%d):
    os.makedirs("/".join(map(str, divmod(number, 100))))
"""
RENAMES = """
import os
names = ["0", "other"]
while True:
    names.sort(key=os.path.exists)
    os.rename(names[1], names[0])
"""
NEW_DIRECTORIES = """
import itertools, os
for number in itertools.count():
    os.makedirs("moved/below", exist_ok=True)
    os.mkdir("new")
    os.rename("moved", "new/moved")
    os.mkdir("new/moved/below/more")
    os.rename("new", f"{number % 200}")
    os.rename(f"{number % 200}/moved", "moved")
    for name in ("moved/below/more", f"{number % 200}"):
        os.rmdir(name)
"""


@pytest.fixture
def who(make_gateway: Callable[..., Gateway]) -> Person:
    """Somebody with a project, on a gateway of their own."""
    need(os.geteuid() == 0, "only root may write into a vault, and see a warden's watches")
    someone = make_gateway().person("someone")
    someone.new("work")
    return someone


def put(who: Person, name: str, text: str, place: Path) -> None:
    (place / name).write_text(text)
    result = who.sftp(f"put {place / name} work/{name}")
    assert result.status == 0, result


def make_directories(who: Person, count: int, place: Path) -> None:
    with who.mounted("work"):
        put(who, "many.py", MANY % count, place)
        assert who.ssh("run", "work", "--", "python3", "many.py").status == 0
    eventually(lambda: not who.gateway.leftovers())


@contextlib.contextmanager
def at_work(who: Person, program: str, place: Path) -> Iterator[None]:
    """`run` of a Python program in the project, which has begun."""
    put(who, "storm.py", program, place)
    held = who.hold("run", "work", "--", "python3", "storm.py")
    try:
        eventually(lambda: any("storm.py" in args for args in who.gateway.processes().values()))
        time.sleep(1)
        assert held.process.poll() is None, held.said
        yield
    finally:
        held.end()


def watches(gateway: Gateway) -> int:
    """Of the only session."""
    count = 0
    for entry in Path(f"/proc/{gateway.warden()}/fdinfo").iterdir():
        with contextlib.suppress(FileNotFoundError):
            count += entry.read_text().count("inotify wd:")
    return count


def ends_in_time(who: Person, way: str, seconds: float = PROMISED) -> None:
    """The session answers `status`, and ends in this way."""
    gateway = who.gateway
    before = len(lock_reasons(gateway, "work"))
    asked = who.ssh("status", timeout=seconds)
    assert asked.status == 0 and "work" in asked.out, asked
    began = time.monotonic()
    if way == "unmount":
        assert who.ssh("unmount", "work", timeout=seconds).status == 0
    elif way == "logout":
        assert who.ssh("logout", timeout=seconds).status == 0
    elif way == "killed":
        words = [str(bindir() / "enc-gateway"), "sessions", "--config", str(gateway.root / "gateway.toml")]
        assert run([*words, "kill", "--all"], timeout=seconds).status == 0
    else:
        gateway.authorized_keys.write_text("")
    eventually(lambda: len(lock_reasons(gateway, "work")) > before, seconds - (time.monotonic() - began))
    assert lock_reasons(gateway, "work")[before:] == [way]
    eventually(lambda: not gateway.leftovers())


def fill(who: Person, place: Path) -> None:
    """A directory with NAMES long names, made of the ciphertext of a few: gocryptfs reads two files for each."""
    links_of_one = 50_000  # ext4 takes 65,000
    empty = place / "empty"
    empty.write_bytes(b"")
    with who.mounted("work"):
        puts = (f"put {empty} work/big/{number}{'n' * 200}" for number in range(NAMES // links_of_one))
        result = who.sftp("mkdir work/big", *puts)
        assert result.status == 0, result
    eventually(lambda: not who.gateway.leftovers())
    long = [path for path in who.vault("work").glob("cipher/*/gocryptfs.longname.*") if path.suffix != ".name"]
    directory = os.open(long[0].parent, os.O_RDONLY)
    for number in range(NAMES):
        (first, name) = long[number // links_of_one].name, f"gocryptfs.longname.{number:043d}"
        for suffix in ("", ".name"):
            os.link(first + suffix, name + suffix, src_dir_fd=directory, dst_dir_fd=directory)
    os.close(directory)


def test_a_directory_with_very_many_names(who: Person, tmp_path: Path) -> None:
    """They are listed as soon as the view is open."""
    fill(who, tmp_path)
    for way in ("unmount", "logout", "killed", "revoked"):
        with who.mounted("work"):
            time.sleep(0.5)
            ends_in_time(who, way)


def test_a_directory_among_thousands_that_is_moved_for_ever(who: Person, tmp_path: Path) -> None:
    make_directories(who, DIRECTORIES, tmp_path)
    for way in ("unmount", "revoked"):
        with who.mounted("work"):
            eventually(lambda: watches(who.gateway) > DIRECTORIES, 60)
            with at_work(who, RENAMES, tmp_path):
                ends_in_time(who, way)


@pytest.mark.parametrize("way", ["unmount", "killed", "revoked"])
def test_directories_that_are_made_moved_and_removed_for_ever(who: Person, tmp_path: Path, way: str) -> None:
    with who.mounted("work"), at_work(who, NEW_DIRECTORIES, tmp_path):
        ends_in_time(who, way)


@pytest.mark.parametrize("way", ["unmount", "revoked"])
def test_a_gocryptfs_that_falls_silent_while_directories_are_listed(who: Person, tmp_path: Path, way: str) -> None:
    make_directories(who, 1000, tmp_path)
    with who.mounted("work"):
        eventually(lambda: watches(who.gateway) > 50)
        (server,) = (pid for pid, args in who.gateway.processes().items() if args.startswith("/usr/bin/gocryptfs"))
        os.kill(server, signal.SIGSTOP)
        time.sleep(0.5)  # the next directory is asked for within 50 ms
        ends_in_time(who, way, HUNG)
