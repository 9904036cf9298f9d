"""What may be run, where a repository is, and what the filters say: the rules, without a sandbox."""

from __future__ import annotations

import errno
import os
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import loader
from gateway.errors import NotAllowedHere, NotUnlocked, Usage
from gateway.identity.names import Principal
from gateway.limits import concurrency
from gateway.limits.disk import fiemap, ledger, notify_filter, supervisor, usage
from gateway.sandbox import seccomp_rules, syscall_filter
from gateway.sandbox.execution import execution_argv, with_terminal
from gateway.sandbox.inside import own_programs
from gateway.sandbox.limits import Limits
from rshell.commands.git import repository
from rshell.front import policy
from rshell.language.command import parse
from tests.harness import eventually

DECISIONS = [
    pytest.param('["*"]', "run p -- anything at all", True, id="all: any program"),
    pytest.param('["*"]', "shell p", True, id="all: a shell"),
    pytest.param("[]", "run p -- true", False, id="none: no program"),
    pytest.param("[]", "shell p", False, id="none: no shell"),
    pytest.param('["make", "/opt/go/bin/go"]', "run p -- make -j2 all", True, id="a list: what is on it"),
    pytest.param('["make", "/opt/go/bin/go"]', "run p -- /opt/go/bin/go build", True, id="a list: by its path"),
    pytest.param('["make"]', "run p -- /usr/bin/make", False, id="a list: not by another name"),
    pytest.param('["make"]', "run p -- ./make", False, id="a list: not a namesake"),
    pytest.param('["make"]', "run p -- '*'", False, id="a list: the word for all is no name"),
    pytest.param('["make"]', "run p -- sh -c make", False, id="a list: not by way of another"),
    pytest.param('["make"]', "shell p", False, id="a list: no shell"),
    pytest.param('["*"]', "run p --net -- true", False, id="no network by default"),
    pytest.param('["*"]\nnetwork = "nat"', "run p --net -- true", True, id="network where it is allowed"),
    pytest.param('["*"]\nnetwork = "nat"', "shell p --net", True, id="network for a shell"),
    pytest.param('["*"]\nnetwork = ["a.test:443"]', "run p --net -- true", True, id="network to certain names"),
]


@pytest.mark.parametrize(("commands", "line", "allowed"), DECISIONS)
def test_decides(commands: str, line: str, allowed: bool) -> None:
    settings = loader.parse(f"[run]\ncommands = {commands}")
    decision = policy.decide(parse(line), False, settings)
    assert isinstance(decision, policy.Allow) == allowed
    if isinstance(decision, policy.Deny):
        assert isinstance(decision.because, NotAllowedHere)


REPOSITORIES = {
    "p": "/projects/p",
    "p/r.git": "/projects/p/r.git",
    "/p/r.git": "/projects/p/r.git",
    "~/p/r.git": "/projects/p/r.git",
    "/projects/p/a//b/./r.git/": "/projects/p/a/b/r.git",
    "p/-r.git": "/projects/p/-r.git",
}


@pytest.mark.parametrize("word", REPOSITORIES)
def test_a_repository_is_found(word: str) -> None:
    assert repository(word, {}) == ("p", REPOSITORIES[word])


@pytest.mark.parametrize("word", ["..", "p/..", "../p", "/projects/../etc", "p/../../etc", "~/../x"])
def test_a_repository_is_not_above_its_project(word: str) -> None:
    with pytest.raises(Usage):
        repository(word, {})


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30))
def test_whatever_is_named_lies_in_a_project(word: str) -> None:
    try:
        project, path = repository(word, {})
    except (Usage, NotUnlocked):
        return
    assert os.path.normpath(path) == path
    assert path == f"/projects/{project}" or path.startswith(f"/projects/{project}/")


def test_every_denied_call_has_its_reason() -> None:
    assert all({**seccomp_rules.DENIED, **seccomp_rules.ABSENT}.values())
    assert not set(seccomp_rules.DENIED) & set(seccomp_rules.ABSENT)


def test_the_rules_need_nothing_of_ours() -> None:
    code = "import sys; import runpy; runpy.run_path(sys.argv[1]); print(*sys.modules)"
    argv = [sys.executable, "-I", "-S", "-B", "-c", code, seccomp_rules.__file__]
    loaded = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()
    assert not [name for name in loaded if name.startswith(("gateway", "rshell"))]


def test_the_filter_is_made_once(tmp_path: Path) -> None:
    first = syscall_filter.open_filter(str(tmp_path))
    (path,) = tmp_path.iterdir()
    made = path.stat()
    assert made.st_mode & 0o777 == 0o600 and made.st_size % 8 == 0
    second = syscall_filter.open_filter(str(tmp_path))
    assert os.path.samestat(os.fstat(first), os.fstat(second)) and path.stat().st_mtime_ns == made.st_mtime_ns
    os.close(first)
    os.close(second)


def test_a_filter_that_is_a_link_is_not_followed_but_made_again(tmp_path: Path) -> None:
    os.close(syscall_filter.open_filter(str(tmp_path)))
    (path,) = tmp_path.iterdir()
    made = path.read_bytes()
    path.unlink()
    path.symlink_to("/etc/passwd")
    os.close(syscall_filter.open_filter(str(tmp_path)))
    assert not path.is_symlink() and path.read_bytes() == made


def test_an_execution_s_command_line_ends_with_the_users_words() -> None:
    limits = Limits(processes=5, memory=6, cpu=7, file_size=8, tmpfs=9)
    argv = execution_argv(["--bind", "/", "--"], "/projects/p", "/pts", ["/opt/x"], limits, 3, {})
    assert argv[-4:] == ["--", "--bind", "/", "--"]
    assert {"--nproc=5:5", f"--data={6 << 20}:{6 << 20}", "--cpu=7:7", f"--fsize={8 << 20}:{8 << 20}"} <= set(argv)
    for has_jobs in (True, False):
        on = with_terminal(argv, "xterm", has_jobs)
        assert on[on.index("--") + 1] == "/usr/bin/setsid" and on[-4:] == argv[-4:]
        assert (own_programs.FOREGROUND in on) is not has_jobs


def test_no_limit_is_none() -> None:
    limits = Limits(processes=0, memory=0, cpu=0, file_size=0, tmpfs=1)
    argv = execution_argv(["true"], "/projects/p", "/pts", [], limits, 3, {})
    assert [word for word in argv if word.startswith(("--nproc", "--data", "--cpu", "--fsize"))] == []
    assert "--core=0:0" in argv


# ------------------------------------------------------------------ the meter


def run_filter(rows: bytes, data: bytes) -> int:
    """What a BPF program of the meter says to a system call (struct seccomp_data)."""
    at, value = 0, 0
    while True:
        code, if_true, if_false, k = struct.unpack_from("HBBI", rows, at * 8)
        at += 1
        if code == 0x20:
            (value,) = struct.unpack_from("I", data, k)
        elif code == 0x06:
            return int(k)
        else:
            holds = value == k if code == 0x15 else bool(value & k)
            at += if_true if holds else if_false


def asked(numbers: notify_filter.SyscallNumbers, number: int, flags: int = 0, arch: int = 0) -> int:
    data = struct.pack("iIQ6Q", number, arch or numbers.arch, 0, 0, 0, flags, 0, 0, 0)
    return run_filter(notify_filter.program(numbers), data)


@pytest.mark.parametrize("machine", notify_filter.MACHINES)
def test_a_meter_stops_what_takes_blocks_and_nothing_else(machine: str) -> None:
    numbers = notify_filter.MACHINES[machine]
    stopped = {number for number in range(600) if asked(numbers, number) != notify_filter.ALLOW}
    assert stopped == {numbers.fallocate, numbers.statfs, *numbers.creating}
    assert asked(numbers, numbers.openat, os.O_CREAT | os.O_RDWR) == notify_filter.NOTIFY
    assert asked(numbers, numbers.openat, os.O_RDWR | os.O_NOFOLLOW) == notify_filter.ALLOW
    assert asked(numbers, numbers.fallocate, arch=0x40000003) == notify_filter.ALLOW


@pytest.fixture
def ledger_fd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    fd = concurrency.open_file(str(tmp_path_factory.mktemp("run")), Principal("dev1"), concurrency.DISK)
    yield fd
    os.close(fd)


def test_a_meter_counts_anew_when_something_was_deleted(
    tmp_path: Path, ledger_fd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "_RECOUNT_FULL_SECONDS", 0.0)
    (tmp_path / "f").write_bytes(b"x" * 40_000)
    one = supervisor.Quota(str(tmp_path), 60_000, ledger_fd)
    assert not one.reserve(30_000)
    (tmp_path / "f").unlink()
    eventually(lambda: one.reserve(30_000), 10)


def test_a_meter_adds_up_what_it_lets_through(tmp_path: Path, ledger_fd: int) -> None:
    one = supervisor.Quota(str(tmp_path), 50_000, ledger_fd)
    assert [one.reserve(20_000) for _ in range(4)] == [True, True, False, False]
    assert one.reserve(5_000)


def test_nobody_waits_for_the_first_count_who_only_looks(
    tmp_path: Path, ledger_fd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    going = threading.Event()
    monkeypatch.setattr(usage, "count", lambda _: (7 * MIB, going.wait(20)))
    one = supervisor.Quota(str(tmp_path), 10 * MIB, ledger_fd)
    assert one.statfs_reply() == b"", "the disk's own answer has to do"
    going.set()
    assert not one.reserve(4 * MIB), "who writes waits for it"
    kind, block, blocks, free, _ = struct.unpack_from("5q", one.statfs_reply())
    assert kind and (blocks * block, free * block) == (10 * MIB, 3 * MIB)


def test_a_ledger_that_cannot_be_written_is_no_room_and_no_silence(tmp_path: Path) -> None:
    full = os.open("/dev/full", os.O_RDWR)
    try:
        one = supervisor.Quota(str(tmp_path), 10 * MIB, full)
        numbers = notify_filter.MACHINES["x86_64"]
        notice = (1, os.getpid(), 0, numbers.openat, 0, 0, 0, 0, 0, 0, 0, 0)
        assert supervisor._decide(-1, one, numbers, notice) == (-errno.ENOSPC, 0)
    finally:
        os.close(full)


def test_two_meters_of_one_principal_share_what_is_left(tmp_path: Path, ledger_fd: int) -> None:
    one, other = (supervisor.Quota(str(tmp_path), 50_000, ledger_fd) for _ in range(2))
    for each in (one, other):  # a first count that ends later finds nothing of all this on the disk
        eventually(each.statfs_reply)
    assert [each.reserve(20_000) for each in (one, other, one, other)] == [True, True, False, False]
    assert other.reserve(5_000) and not one.reserve(6_000)


def test_what_is_taken_while_it_is_counted_is_kept(ledger_fd: int) -> None:
    def count() -> tuple[int, bool]:
        assert book.reserve(100, 1_000)
        return 500, True

    book = ledger.Ledger(ledger_fd)
    assert book.recount(count)
    assert book.totals().used == 600
    assert ledger.Ledger(ledger_fd).totals() == book.totals(), "it is the file's"


def test_a_count_that_was_not_finished_makes_no_room(ledger_fd: int) -> None:
    book = ledger.Ledger(ledger_fd)
    assert book.recount(lambda: (500, True))
    assert not ledger.Ledger(ledger_fd).recount(lambda: (20, False))
    assert book.totals().used == 500


def test_what_cannot_be_counted_in_time_is_counted_to_its_end_beside_the_work(
    tmp_path: Path, ledger_fd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A total that was too large must fall when something was deleted, also where counting takes long."""
    monkeypatch.setattr(supervisor, "_RECOUNT_FULL_SECONDS", 0.0)
    whole = usage.count
    monkeypatch.setattr(usage, "count", lambda home, seconds=0.0: whole(home, seconds) if seconds else (0, False))
    ledger.Ledger(ledger_fd).recount(lambda: (90_000, True))
    one = supervisor.Quota(str(tmp_path), 60_000, ledger_fd)
    eventually(lambda: one.reserve(30_000), 10)


MIB = 1 << 20


def test_what_has_blocks_already_takes_none(tmp_path: Path) -> None:
    path = tmp_path / "f"
    with path.open("wb") as file:
        file.truncate(64 * MIB)
        os.posix_fallocate(file.fileno(), 8 * MIB, MIB)
    assert fiemap.unallocated(str(path), 8 * MIB, MIB) == 0
    assert fiemap.unallocated(str(path), 7 * MIB, 4 * MIB) == 3 * MIB
    assert fiemap.unallocated(str(path), 60 * MIB, 18) == fiemap.BLOCK, "below the end, far from anything"
    assert fiemap.unallocated(str(path), 64 * MIB, 18) == fiemap.BLOCK, "at the end"
    assert fiemap.unallocated(str(path), 0, 1 << 40) == (1 << 40) - MIB


def test_a_file_in_many_pieces_is_looked_at_whole(tmp_path: Path) -> None:
    path = tmp_path / "f"
    with path.open("wb") as file:
        for number in range(0, 200, 2):
            os.pwrite(file.fileno(), b"x", number * fiemap.BLOCK)
        os.fsync(file.fileno())
    assert fiemap.unallocated(str(path), 0, 200 * fiemap.BLOCK) == 100 * fiemap.BLOCK


def test_what_reserved_blocks_beyond_its_end_is_not_charged_for_them(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"x")
    assert subprocess.run(["fallocate", "--keep-size", "-l", "1M", str(path)]).returncode == 0
    assert fiemap.unallocated(str(path), 1, 1_000_000) == 0
