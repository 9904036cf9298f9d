"""What the kernel counts for the gateway's account as a whole, whichever namespaces its processes are in: a program of
one principal's takes all of it that it can get, and others are served.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.harness import Gateway
from tests.running import UnlockedProject, unlocked_project

FLIGHT = """
import os, resource, socket, sys
_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
null = os.open("/dev/null", os.O_RDONLY)
kept = []
try:
    while True:
        ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        kept += ends
        ends[0].setblocking(False)
        try:
            while True:
                socket.send_fds(ends[0], [b"x"], [null] * 253)
        except BlockingIOError:
            continue
except OSError as error:
    print(error.strerror, flush=True)
sys.stdin.read()
"""

TERMINALS = """
import os
held = []
try:
    while len(held) < 100:
        held.append(os.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY))
except OSError as error:
    print(error.strerror)
print(len(held))
"""


@pytest.fixture(scope="module")
def taker(gateway: Gateway) -> Iterator[UnlockedProject]:
    with unlocked_project(gateway, "taker") as made:
        yield made


def test_descriptors_in_flight_keep_nobody_from_passing_theirs(gateway: Gateway, taker: UnlockedProject) -> None:
    """unix(7), ETOOMANYREFS: without a bound below the fronts' own, nobody could reach any session."""
    taker.put("flight.py", FLIGHT)
    with unlocked_project(gateway, "served-in-flight") as other:
        terminal = taker.terminal("python3", "-I", "flight.py")
        try:
            terminal.expect("Too many references")
            assert other.run("true").status == 0
            assert other.person.sftp(f"ls {other.project}").status == 0
            other.person.new("second")
            with other.person.mounted("second"):
                assert other.person.ssh("status").status == 0
            assert other.terminal("true").wait() == 0
        finally:
            terminal.close()


def test_a_program_has_a_share_of_the_hosts_terminals(taker: UnlockedProject) -> None:
    assert taker.python(TERMINALS).out.splitlines() == ["No space left on device", "32"]
    assert taker.terminal("tty").wait() == 0


def test_no_process_of_a_program_is_without_its_limits(taker: UnlockedProject) -> None:
    """PID 1, which is bubblewrap, among them: it could be rewritten."""
    names = ("Max data size", "Max core file size", "Max open files")
    own, first = (
        [
            line.split()[:-1]
            for line in taker.run("cat", f"/proc/{pid}/limits").out.splitlines()
            if line[:25].strip() in names
        ]
        for pid in ("self", "1")
    )
    assert own == first and {str(4096 << 20), "0"} <= {row[-1] for row in own}, "run.memory"
