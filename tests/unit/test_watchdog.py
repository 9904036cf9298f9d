"""A session's watchdog, on a stand-in for the session: a process group that shows life, or does not."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from tests.conditions import alive, eventually

ROOT = Path(__file__).parents[2]
LATE = 1
"""Seconds; a session without life is killed after two times that."""

SESSION = f"""
import os, signal, sys, time
sys.path.insert(0, {str(ROOT)!r})
from gateway.session import watchdog
watchdog._LATE_SECONDS = {LATE}
secret = os.open("/dev/zero", os.O_RDONLY)
signal.signal(signal.SIGINT, signal.SIG_IGN)
mind = watchdog.start()
def beat(): os.write(mind, b"\\n")
with open("/proc/self/task/%d/children" % os.getpid()) as file: print(file.read().strip(), flush=True)
"""


def session(script: str) -> tuple[subprocess.Popen[str], int]:
    """A running session and the pid of its watchdog."""
    words = ["/usr/bin/python3", "-I", "-S", "-c", SESSION + script]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True, process_group=0)
    assert process.stdout
    return process, int(process.stdout.readline())


def ended(process: subprocess.Popen[str], watchdog: int) -> int:
    status = process.wait(30)
    eventually(lambda: not alive(watchdog), 10)
    for stream in (process.stdout, process.stdin):
        assert stream
        stream.close()
    return status


@pytest.mark.parametrize(
    "script",
    [
        pytest.param("beat(); os.kill(os.getpid(), signal.SIGSTOP)", id="stopped"),
        pytest.param("beat(); time.sleep(60)", id="stuck"),
        pytest.param("for _ in range(4): beat(); time.sleep(0.5)\ntime.sleep(60)", id="stuck later"),
    ],
)
def test_a_session_that_shows_no_life_is_killed(script: str) -> None:
    began = time.monotonic()
    assert ended(*session(script)) == -9
    assert 2 * LATE - 0.1 <= time.monotonic() - began < 15


def test_everything_in_its_process_group_is_killed_and_nothing_else() -> None:
    script = """
import subprocess
inside = subprocess.Popen(["/bin/sleep", "60"])
outside = subprocess.Popen(["/bin/sleep", "60"], process_group=0)
print(inside.pid, outside.pid, flush=True)
beat(); time.sleep(60)
"""
    process, watchdog = session(script)
    assert process.stdout
    inside, outside = map(int, process.stdout.readline().split())
    try:
        assert ended(process, watchdog) == -9
        eventually(lambda: not alive(inside), 10)
        assert alive(outside)
    finally:
        os.kill(outside, 9)


def test_one_that_shows_life_ends_by_itself_and_its_watchdog_with_it() -> None:
    assert ended(*session(f"for _ in range({8 * LATE}): beat(); time.sleep(0.5)\nsys.exit(3)")) == 3


def test_nothing_is_killed_before_the_first_sign_of_life() -> None:
    assert ended(*session(f"time.sleep({3 * LATE + 0.5}); beat(); sys.exit(3)")) == 3


def test_one_late_sign_of_life_is_forgiven() -> None:
    """A host or a container that was frozen: the clock of the read has run on."""
    script = f"for _ in range(3): beat(); time.sleep({1.2 * LATE})\nsys.exit(3)"
    assert ended(*session(script)) == 3


def _has_loaded(shell: int) -> bool:
    """Its libraries: the last is mapped, and the descriptor of none is open. Before, it is one more for a moment."""
    return "libc.so" in Path(f"/proc/{shell}/maps").read_text() and not os.path.exists(f"/proc/{shell}/fd/3")


def test_it_holds_nothing_of_the_session_and_ctrl_c_is_not_for_it() -> None:
    process, watchdog = session("beat(); sys.stdin.read(); sys.exit(3)")
    eventually(lambda: b"late=none" in Path(f"/proc/{watchdog}/cmdline").read_bytes(), 10)  # it is the shell now,
    eventually(lambda: _has_loaded(watchdog), 10)
    fds = {name: os.readlink(f"/proc/{watchdog}/fd/{name}") for name in os.listdir(f"/proc/{watchdog}/fd")}
    assert set(fds) == {"0", "1", "2"}, fds
    assert fds["0"] == fds["1"] and fds["0"].startswith("socket:") and fds["2"] == "/dev/null"
    os.kill(watchdog, 2)
    assert process.stdin
    process.stdin.close()
    assert process.wait(30) == 3
    eventually(lambda: not alive(watchdog), 10)
    assert process.stdout
    process.stdout.close()
