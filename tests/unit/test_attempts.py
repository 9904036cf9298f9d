"""Wrong passphrases: the wait doubles, has a limit, is forgotten, and is each principal's own."""

from __future__ import annotations

import multiprocessing
import os
import time
from pathlib import Path

import pytest

from gateway.identity.names import Principal, ProjectName
from gateway.limits import backoff

DEV1, DEV2 = Principal.of("dev1"), Principal.of("dev2")
P, OTHER = ProjectName.of("p"), ProjectName.of("other")
KEY = Principal.of_fingerprint("SHA256:" + "A/+" * 14 + "A")


def still_listed() -> None:
    """What is asked of a caller who waits."""


class GoneError(Exception):
    """What the answer is when the caller's key is gone."""


def gone() -> None:
    raise GoneError


def now() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def attempt(run: Path, principal: Principal = DEV1, project: ProjectName = P, *, right: bool | None = False) -> None:
    backoff.end_attempt(backoff.begin_attempt(str(run), principal, still_listed), project, right)


def wait(run: Path, principal: Principal = DEV1, longest: int = 1000, project: ProjectName = P) -> float:
    """What the next attempt would have to wait."""
    fd = backoff.begin_attempt(str(run), principal, still_listed)
    try:
        return backoff.delay(fd, project, longest)
    finally:
        os.close(fd)


@pytest.mark.parametrize(("failures", "seconds"), [(1, 0.5), (2, 1), (3, 2), (4, 4), (5, 8), (9, 128), (11, 512)])
def test_the_wait_doubles_with_each_failure_in_a_row(tmp_path: Path, failures: int, seconds: float) -> None:
    for _ in range(failures - 1):
        attempt(tmp_path)
    began = now()
    attempt(tmp_path)
    waiting = wait(tmp_path)
    assert seconds - (now() - began) - 0.001 <= waiting <= seconds


def test_the_wait_has_a_limit(tmp_path: Path) -> None:
    began = now()
    for _ in range(40):
        attempt(tmp_path)
    waiting = wait(tmp_path, longest=30)
    assert 30 - (now() - began) <= waiting <= 30
    assert wait(tmp_path, longest=0) == 0


def test_very_many_failures_do_not_overflow(tmp_path: Path) -> None:
    attempt(tmp_path)
    (tmp_path / "attempts" / "u-dev1").write_text(f"p {10**18} {int(now() * 1000)}")
    assert 25 < wait(tmp_path, longest=30) <= 30


def test_the_first_attempt_does_not_wait(tmp_path: Path) -> None:
    assert wait(tmp_path) == 0


def test_success_clears_the_failures(tmp_path: Path) -> None:
    for _ in range(5):
        attempt(tmp_path)
    attempt(tmp_path, right=True)
    assert wait(tmp_path) == 0
    attempt(tmp_path)
    assert wait(tmp_path) <= 0.5


def test_success_in_another_project_clears_nothing(tmp_path: Path) -> None:
    for _ in range(5):
        attempt(tmp_path)
    attempt(tmp_path, project=OTHER)
    attempt(tmp_path, project=OTHER, right=True)
    assert 7 < wait(tmp_path) <= 8
    assert wait(tmp_path, project=OTHER) == 0


def test_an_attempt_that_was_broken_off_changes_nothing(tmp_path: Path) -> None:
    for _ in range(5):
        attempt(tmp_path)
    attempt(tmp_path, right=None)
    assert 7 < wait(tmp_path) <= 8


def test_time_passed_counts(tmp_path: Path) -> None:
    attempt(tmp_path)
    (tmp_path / "attempts" / "u-dev1").write_text(f"p 5 {int((now() - 3) * 1000)}")
    assert 4 < wait(tmp_path) <= 5
    (tmp_path / "attempts" / "u-dev1").write_text(f"p 5 {int((now() - 100) * 1000)}")
    assert wait(tmp_path) == 0


@pytest.mark.parametrize(
    "ended",
    [
        pytest.param(lambda: now() - backoff.RESET_AFTER - 1, id="long ago"),
        pytest.param(lambda: now() + 1000, id="before a reboot, which starts the clock again"),
    ],
)
def test_failures_are_forgotten(tmp_path: Path, ended: object) -> None:
    assert callable(ended)
    attempt(tmp_path)
    (tmp_path / "attempts" / "u-dev1").write_text(f"p 20 {int(ended() * 1000)}")
    assert wait(tmp_path) == 0
    attempt(tmp_path)
    assert wait(tmp_path) <= 0.5, "the next failure is the first again"


def test_failures_just_short_of_that_count_on(tmp_path: Path) -> None:
    attempt(tmp_path)
    (tmp_path / "attempts" / "u-dev1").write_text(f"p 4 {int((now() - backoff.RESET_AFTER + 60) * 1000)}")
    attempt(tmp_path)
    assert 4 < wait(tmp_path) <= 8


def written(run: Path) -> list[str]:
    """The words of the only line in the file of DEV1."""
    (line,) = (run / "attempts" / "u-dev1").read_text().splitlines()
    return line.split()


def another_host(run: Path, wall: float) -> None:
    """Let the last failure be one of another host, `wall` seconds ago by the wall clock of that."""
    name, failures, *_ = written(run)
    line = f"{name} {failures} {int((now() + 10**6) * 1000)} {int((time.time() - wall) * 1000)} another-boot\n"
    (run / "attempts" / "u-dev1").write_text(line)


@pytest.mark.parametrize("wall", [3, -2, 20 * 60, -20 * 60, -(10**6)])
def test_a_failure_on_another_host_counts_for_the_whole_delay_whatever_the_clocks_say(
    tmp_path: Path, wall: float
) -> None:
    """Two hosts whose clocks are far apart would forget each other's failures, and one could guess at both in turn."""
    for _ in range(5):
        attempt(tmp_path)
    another_host(tmp_path, wall)
    assert wait(tmp_path) == 8
    attempt(tmp_path)
    assert written(tmp_path)[1] == "6"


def test_a_failure_on_another_host_is_forgotten_after_a_day(tmp_path: Path) -> None:
    for _ in range(5):
        attempt(tmp_path)
    another_host(tmp_path, wall=86401)
    assert wait(tmp_path) == 0
    attempt(tmp_path)
    assert written(tmp_path)[1] == "1"


def test_a_wall_clock_that_is_changed_changes_nothing_on_a_host_that_is_alone(tmp_path: Path) -> None:
    for _ in range(5):
        attempt(tmp_path)
    name, failures, at, _, boot = written(tmp_path)
    (tmp_path / "attempts" / "u-dev1").write_text(f"{name} {failures} {at} 5 {boot}\n")
    assert 7 < wait(tmp_path) <= 8


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"x",
        b"p 1 1 1 1 1",
        b"p 1 1 x y",
        b"p -1 1 1 y",
        b"p",
        b"p 1",
        b"p -1 5",
        b"p 1 2 3",
        b"p \xff\xff 1",
        b"\xff 1 1",
        b"p 1 1.5",
        b"p nan nan",
        b"1 1 p",
    ],
)
def test_a_damaged_file_counts_as_no_failure(tmp_path: Path, content: bytes) -> None:
    attempt(tmp_path)
    (tmp_path / "attempts" / "u-dev1").write_bytes(content)
    assert wait(tmp_path) == 0
    attempt(tmp_path)
    assert 0 <= wait(tmp_path) <= 0.5


def test_each_principal_has_failures_of_its_own(tmp_path: Path) -> None:
    for _ in range(6):
        attempt(tmp_path)
    assert wait(tmp_path, DEV2) == 0
    assert wait(tmp_path, KEY) == 0
    assert wait(tmp_path) > 10


def test_a_turn_that_is_taken_holds_up_nobody_else(tmp_path: Path) -> None:
    turn = backoff.begin_attempt(str(tmp_path), DEV1, still_listed)
    attempt(tmp_path, DEV2)
    attempt(tmp_path, KEY)
    backoff.end_attempt(turn, P, correct=True)


def test_attempts_of_one_principal_queue(tmp_path: Path) -> None:
    turn = backoff.begin_attempt(str(tmp_path), DEV1, still_listed)
    other = multiprocessing.get_context("fork").Process(target=_second, args=(tmp_path, turn))
    other.start()
    other.join(0.3)
    assert other.is_alive(), "it did not wait for its turn"
    backoff.end_attempt(turn, P, correct=False)
    other.join(30)
    assert other.exitcode == 0
    assert 0.5 < wait(tmp_path) <= 1, "both failures count"


def _second(run: Path, inherited: int) -> None:
    os.close(inherited)
    attempt(run)


def test_the_file_is_the_gateways_alone(tmp_path: Path) -> None:
    attempt(tmp_path, KEY)
    assert (tmp_path / "attempts").stat().st_mode & 0o077 == 0
    (file,) = (tmp_path / "attempts").iterdir()
    assert file.name == KEY.directory
    assert file.stat().st_mode & 0o077 == 0


def test_who_waits_for_a_turn_or_for_time_to_pass_is_asked_about_meanwhile(tmp_path: Path) -> None:
    turn = backoff.begin_attempt(str(tmp_path), DEV1, still_listed)
    open_before = os.listdir("/proc/self/fd")
    with pytest.raises(GoneError):
        backoff.begin_attempt(str(tmp_path), DEV1, gone)
    assert os.listdir("/proc/self/fd") == open_before
    os.close(turn)
    with pytest.raises(GoneError):
        backoff.wait(600, gone)
