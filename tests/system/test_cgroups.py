"""A program's cgroup, where one is delegated to the gateway's account: here the test delegates it, as systemd would."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.errors import Misconfigured
from gateway.host import account
from gateway.sandbox import cgroups
from tests.harness import Gateway, eventually, need, need_root
from tests.life import sessions_in_status
from tests.running import UnlockedProject, unlocked_project
from tests.workspaces import workspace

MEMORY, PROCESSES = 200, 60
FILES = ("", "cgroup.procs", "cgroup.threads", "cgroup.subtree_control")
EATER = """
import os, sys, time
for _ in range(5):
    if os.fork() == 0:
        eaten = bytearray(os.urandom(1)) * (60 << 20)
        time.sleep(30)
        os._exit(0)
os.wait()
"""
"""Five processes that are too much together, and none of them alone."""


@pytest.fixture(scope="module")
def delegated() -> Iterator[Path]:
    """A cgroup of the account's, with what controllers this machine has in v2."""
    need_root()
    need(bool(cgroups.root()), "cgroup v2")
    top, owner = Path(cgroups.root()), account.make()
    with contextlib.suppress(OSError):  # nothing to give, or not ours to give
        (top / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in cgroups.controllers(str(top))))
    made = top / f"enc-test-{os.getpid()}"
    made.mkdir()
    for name in FILES:
        os.chown(made / name, owner.pw_uid, owner.pw_gid)
    os.setxattr(made, cgroups.DELEGATE_ATTRIBUTE, b"1")
    yield made
    left = sorted((path for path in made.rglob("*") if path.is_dir()), reverse=True)
    for path in (*left, made):
        path.rmdir()


@pytest.fixture(scope="module")
def at(ground: Path, delegated: Path) -> Iterator[UnlockedProject]:
    settings = {"run.memory": str(MEMORY), "run.processes": str(PROCESSES)}
    prefix = ("sh", "-euc", f'echo 0 >{delegated}/cgroup.procs; exec "$@"', "sh")
    gateway = Gateway(ground / "gw", settings, prefix=prefix).start()
    with unlocked_project(gateway, "counted") as made:
        yield made
    gateway.stop()
    eventually(lambda: not (delegated / "session" / "cgroup.procs").read_text())


def needs_controller(name: str) -> None:
    if name not in cgroups.controllers(cgroups.root()):  # which CI's machine has in v1, so no failure there
        pytest.skip(f"the {name} controller is not in cgroup v2 here")


@contextlib.contextmanager
def holding(at: UnlockedProject, *argv: str) -> Iterator[None]:
    """The program runs until the end of the block."""
    held = at.hold(*argv)
    try:
        yield
    finally:
        held.end()


def rooms(delegated: Path) -> list[Path]:
    return list(delegated.glob("run-*"))


def members(room: Path) -> int:
    return len((room / "cgroup.procs").read_text().split())


def test_a_program_is_alone_in_a_cgroup_that_goes_with_it(at: UnlockedProject, delegated: Path) -> None:
    assert at.run("cat", "/proc/self/cgroup").out.endswith("0::/\n"), "it does not see where it is"
    with holding(at, "sh", "-c", "setsid -f sleep 60; sleep 60"), holding(at, "sleep", "60"):
        eventually(lambda: sorted(map(members, rooms(delegated))) == [3, 5], 60)  # bwrap's two, sleep; sh and another
        assert str(at.gateway.sessions()[0]["pid"]) in (delegated / "session" / "cgroup.procs").read_text().split()
    eventually(lambda: not rooms(delegated))


def test_what_a_killed_front_left_goes_with_the_next_program(at: UnlockedProject, delegated: Path) -> None:
    with holding(at, "sleep", "60"):
        eventually(lambda: len(rooms(delegated)) == 1)
        (room,) = rooms(delegated)
        sleeping = (room / "cgroup.procs").read_text
        eventually(lambda: bool(sleeping()))
        for path in Path("/proc").glob("[0-9]*/fd"):
            with contextlib.suppress(OSError):  # the warden has it for a moment, too
                is_front = b"rshell" in (path.parent / "cmdline").read_bytes()
                if is_front and any(os.readlink(fd) == f"{room}/cgroup.procs" for fd in path.iterdir()):
                    os.kill(int(path.parent.name), 9)
        eventually(lambda: not sleeping())
        assert room.exists(), "nobody was left to remove it"
    assert at.run("true").status == 0
    assert not room.exists()


def test_a_cgroup_is_not_killed_while_the_warden_is_in_it(delegated: Path) -> None:
    """A front that is dropped while its program is being started must not take the session along."""
    room, own = delegated / "run-000000000000", delegated / "beside"
    for path in (room, own):
        path.mkdir()
    enter, leave = (os.open(path / "cgroup.procs", os.O_WRONLY) for path in (room, own))
    warden = os.fork()
    if warden == 0:
        with cgroups.entered(enter, leave):
            time.sleep(0.5)
        time.sleep(60)
        os._exit(0)
    try:
        eventually(lambda: members(room) == 1)
        cgroups._remove(str(room))
        assert not room.exists() and str(warden) in (own / "cgroup.procs").read_text().split()
        with pytest.raises(Misconfigured), cgroups.entered(enter, leave):
            pass
    finally:
        os.kill(warden, signal.SIGKILL)
        os.waitpid(warden, 0)
        own.rmdir()


def test_memory_is_counted_for_a_program_as_a_whole(at: UnlockedProject, delegated: Path) -> None:
    needs_controller("memory")
    result = at.python(EATER)
    assert (result.status, result.err) == (
        124,
        f"enc: the program was stopped: it used more than {MEMORY} MiB of memory\n",
    )
    assert at.python(EATER.replace("range(5)", "range(2)").replace("30", "0.1")).status == 0
    filled = at.sh(f"head -c {MEMORY + 20}M /dev/zero >/tmp/x")
    assert filled.status == 124 and "memory" in filled.err, "what lies in its tmpfs counts as well"
    assert not rooms(delegated)


def test_nothing_of_a_program_is_swapped_out(at: UnlockedProject, delegated: Path) -> None:
    needs_controller("memory")
    with holding(at, "sleep", "60"):
        eventually(lambda: len(rooms(delegated)) == 1)
        (room,) = rooms(delegated)
        eventually(lambda: (room / "memory.swap.max").read_text() == "0\n")


def test_processes_are_counted_for_a_program_as_a_whole(at: UnlockedProject, delegated: Path) -> None:
    needs_controller("pids")
    with holding(at, "sleep", "60"):
        eventually(lambda: len(rooms(delegated)) == 1)
        (room,) = rooms(delegated)
        eventually(lambda: (room / "pids.max").read_text() == f"{PROCESSES}\n")


def test_a_mark_alone_delegates_nothing(at: UnlockedProject, delegated: Path) -> None:
    """A cgroup that belongs to somebody else is left alone, marked or not."""
    eventually(lambda: not rooms(delegated))
    os.chown(delegated, 0, 0)
    try:
        with holding(at, "sleep", "60"):
            eventually(lambda: "run" in str(sessions_in_status(at.person, at.shared)[0]["programs"]))
            assert not rooms(delegated)
    finally:
        os.chown(delegated, account.make().pw_uid, account.make().pw_gid)


def test_a_workspace_goes_on_after_its_first_channel_and_counts_as_a_whole(
    at: UnlockedProject, delegated: Path, tmp_path: Path
) -> None:
    made = workspace(at.person, at.project, tmp_path, at.shared)
    assert made.ssh("touch /tmp/mark").status == 0
    assert made.ssh("ls /tmp/mark; sleep 4799 </dev/null >/dev/null 2>&1 &").out == "/tmp/mark\n"
    (room,) = rooms(delegated)
    inside = [Path(f"/proc/{pid}/cmdline").read_text() for pid in (room / "cgroup.procs").read_text().split()]
    assert any("4799" in words for words in inside) and any("workspace.py" in words for words in inside)
    assert at.run("true").status == 0
    assert rooms(delegated) == [room], "what made no workspace removed its own"
    made.ssh("pkill -9 -f ^/usr/bin/python3.*/workspace.py")
    eventually(lambda: not (room / "cgroup.procs").read_text())
    assert at.run("true").status == 0
    assert not room.exists()
