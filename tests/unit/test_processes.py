"""A warden's look at the processes of its programs, at stand-ins for them: shells that wait for shells."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from gateway.warden.programs import processes
from tests.harness import alive, eventually

NESTED = "sh -c 'sh -c \"sleep 600 & wait\" & wait' & wait"

listed: list[str] = []
sys.addaudithook(lambda event, words: listed.append(str(words[0])) if event == "os.listdir" else None)


@pytest.fixture
def monitors() -> Iterator[list[int]]:
    """Three that are each above a first process, which has two below it."""
    started = [subprocess.Popen(["sh", "-c", NESTED]) for _ in range(3)]
    found = [one.pid for one in started]
    eventually(lambda: [len(tree.members()) for tree in processes.trees(found)] == [4, 4, 4])
    members = {pid for tree in processes.trees(found) for pid in tree.members()}
    yield found
    for pid in members:
        processes.kill(pid, signal.SIGKILL)
    for one in started:
        one.wait()


def test_all_programs_are_found_with_one_look(monitors: list[int]) -> None:
    """A look is as long as there are processes; one for each program made it minutes until a view was locked."""
    listed.clear()
    trees = processes.trees(monitors)
    assert listed.count("/proc") == 1
    for monitor, tree in zip(monitors, trees, strict=True):
        assert tree.monitor == monitor
        assert (len(tree.first), len(tree.others)) == (1, 2)
        assert tree.members() == tree.first | tree.others | {monitor}


def test_sigterm_is_for_the_program_alone(monitors: list[int]) -> None:
    (tree,) = processes.trees(monitors[:1])
    stopped = sorted(tree.others)
    processes.kill(tree.monitor, signal.SIGSTOP)
    for pid in tree.first:
        processes.kill(pid, signal.SIGSTOP)
    processes.terminate([tree])
    eventually(lambda: not any(alive(pid) for pid in stopped))
    assert alive(tree.monitor) and all(alive(pid) for pid in tree.first)


def test_a_program_is_killed_without_a_look(monitors: list[int]) -> None:
    (tree, *_) = processes.trees(monitors)
    listed.clear()
    processes.kill_program(tree.monitor)
    assert listed == []
    eventually(lambda: not any(alive(pid) for pid in (tree.monitor, *tree.first)))
