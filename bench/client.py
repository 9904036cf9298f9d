"""What `enc` costs: files through `enc mount` against sshfs by hand, `enc ls` against ssh, and the start of `enc`."""

from __future__ import annotations

import contextlib
import functools
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from bench import place
from bench.measure import Row, in_turns, median, ms, time_of
from tests.harness import Person, bindir
from tests.laptop import Laptop, laptop

ROUNDS = 5
SMALL_ROUNDS = 40
"""For small files: with 5 rounds, two mounts of the same kind differ by 10 %."""
STARTS = 20
SIZE = 48
"""MiB of one file."""
FILES = 150
BY_HAND = "sshfs by hand"


@contextlib.contextmanager
def _mounts(mine: Laptop) -> Iterator[dict[str, Path]]:
    """Mount the project `one` by `enc`, and by hand over another connection."""
    ours, by_hand = mine.mount("one"), mine.home / "by-hand"
    by_hand.mkdir()
    words = ["sshfs", *_config(mine.who), "gateway:one", str(by_hand)]
    subprocess.run(words, check=True)
    try:
        yield {"enc mount": ours, BY_HAND: by_hand}
    finally:
        subprocess.run(["fusermount3", "-u", str(by_hand)], check=True)
        mine.enc("logout")


def _config(who: Person) -> list[str]:
    return ["-F", str(who.gateway.ssh_config), "-o", f"IdentityFile={who.key}"]


def _timed(work: Callable[[Path], None], at: Path) -> float:
    began = time.perf_counter()
    work(at)
    return time.perf_counter() - began


def _write(at: Path) -> None:
    block = os.urandom(1 << 20)
    with (at / "big").open("wb") as file:
        for _ in range(SIZE):
            file.write(block)


def _read(at: Path) -> None:
    with (at / "big").open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        while file.read(1 << 20):
            pass


def _create(at: Path) -> None:
    directory = at / f"small-{time.monotonic_ns()}"
    directory.mkdir()
    for number in range(FILES):
        (directory / str(number)).write_bytes(b"x" * 2000)


def _read_small(at: Path) -> None:
    directory = min(at.glob("small-*"))
    for path in sorted(directory.iterdir()):
        path.read_bytes()


def run() -> list[Row]:
    """Measure everything on one gateway."""
    with place.gateway() as gateway:
        who = gateway.person("one")
        who.new("one")
        with laptop(who) as mine:
            return [*_files(mine), *_commands(mine), *_starting(mine)]


def _files(mine: Laptop) -> list[Row]:
    rows = []
    with _mounts(mine) as mounts:
        for what, work, rounds in (
            (f"write {SIZE} MiB", _write, ROUNDS),
            (f"read {SIZE} MiB", _read, ROUNDS),
            (f"create {FILES} files of 2 kB", _create, SMALL_ROUNDS),
            (f"read {FILES} files of 2 kB", _read_small, SMALL_ROUNDS),
        ):
            kinds = {name: functools.partial(_timed, work, at) for name, at in mounts.items()}
            rows.append(_row(what, in_turns(rounds, kinds), "enc mount", BY_HAND, "1.0x"))
    return rows


def _commands(mine: Laptop) -> list[Row]:
    enc, ssh = [*mine.environment(), "enc", "ls"], [*mine.environment(), *mine.who.argv("ls")]
    alone = in_turns(STARTS, {"enc ls": lambda: time_of(enc), "ssh": lambda: time_of(ssh)})
    assert mine.enc("login").status == 0
    shared = [*mine.environment(), *mine.who.argv("ls", extra=("-S", mine.store.socket))]
    joined = in_turns(STARTS, {"enc ls": lambda: time_of(enc), "ssh": lambda: time_of(shared)})
    assert mine.enc("logout").status == 0
    return [
        _row("enc ls, new connection", alone, "enc ls", "ssh", "-"),
        _row("enc ls, shared connection", joined, "enc ls", "ssh", "-"),
    ]


def _starting(mine: Laptop) -> list[Row]:
    python = str(bindir() / "python")
    kinds = {
        "enc --help": [*mine.environment(), "enc", "--help"],
        "import click": [*mine.environment(), python, "-c", "import click"],
    }
    taken = in_turns(STARTS, {name: functools.partial(time_of, argv) for name, argv in kinds.items()})
    return [_row("enc --help", taken, "enc --help", "import click", "1.5x")]


def _row(what: str, taken: dict[str, list[float]], ours: str, theirs: str, budget: str) -> Row:
    measured, reference = median(taken[ours]), median(taken[theirs])
    return Row(what, ms(measured), f"{ms(reference)} ({theirs})", f"{measured / reference:.2f}x", budget)
