"""Rotation of the audit log: the chain continues, missing logs are found, and no writer loses a line."""

from __future__ import annotations

import errno
import json
import multiprocessing
import resource
import signal
from pathlib import Path

import pytest

from gateway.audit import verification
from gateway.audit.archives import archives
from gateway.audit.log import AuditLog
from gateway.audit.rotation import rotate
from gateway.errors import Misconfigured


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A log that was rotated twice: records 1-3, 4-7 (the first of them says so), 8-11."""
    path = tmp_path / "audit.jsonl"
    log = AuditLog(str(path), principal="dev1")
    for part in range(3):
        if part:
            rotate(log, keep=0)
        for number in range(3):
            log.write("request", number=number)
    return path


def problems(path: Path) -> list[tuple[str, int]]:
    return [(finding.file, finding.line) for finding in verification.verify(str(path)).findings]


def names(path: Path) -> list[str]:
    return [Path(one).name for one in archives(str(path))]


def test_a_rotated_log_is_one_chain(path: Path) -> None:
    assert names(path) == ["audit.jsonl.000000000003", "audit.jsonl.000000000007"]
    report = verification.verify(str(path))
    assert (report.lines, report.findings, report.first) == (11, (), 1)
    first = json.loads(path.read_text().splitlines()[0])
    assert (first["seq"], first["event"], first["previous"]) == (8, "rotated", "audit.jsonl.000000000007")
    assert path.stat().st_mode & 0o777 == 0o600


def test_an_empty_log_is_not_rotated(tmp_path: Path) -> None:
    assert rotate(AuditLog(str(tmp_path / "log")), keep=0) == ""
    assert names(tmp_path / "log") == []


@pytest.mark.parametrize(
    ("file", "found"),
    [
        pytest.param("audit.jsonl.000000000003", ("audit.jsonl.000000000007", 1), id="the oldest"),
        pytest.param("audit.jsonl.000000000007", ("", 1), id="one in the middle"),
    ],
)
def test_a_rotated_log_that_is_missing_is_found(path: Path, file: str, found: tuple[str, int]) -> None:
    (path.parent / file).unlink()
    assert problems(path) == [found]


def test_a_change_in_a_rotated_log_is_found_in_its_file(path: Path) -> None:
    rotated = path.parent / "audit.jsonl.000000000007"
    rotated.write_text(rotated.read_text().replace('"number":1', '"number":2'))
    assert problems(path) == [("audit.jsonl.000000000007", 4)]


def test_what_rotation_drops_is_recorded_and_in_order(path: Path) -> None:
    rotate(AuditLog(str(path)), keep=1)
    assert names(path) == ["audit.jsonl.000000000011"]
    report = verification.verify(str(path))
    assert (report.findings, report.first, report.lines) == ((), 8, 5)
    assert json.loads(path.read_text())["dropped"] == 7
    Path(archives(str(path))[0]).unlink()  # no record says so
    assert problems(path) == [("", 1)]


def test_a_crash_between_the_steps_of_a_rotation_is_mended_by_the_next(path: Path) -> None:
    (path.parent / "audit.jsonl.000000000011").hardlink_to(path)  # linked, and not replaced yet
    (path.parent / "audit.jsonl.next").write_text("half")
    log = AuditLog(str(path))
    assert rotate(log, keep=0).endswith(".000000000011")
    log.write("request")
    assert problems(path) == []


def test_a_file_that_has_the_name_already_is_not_overwritten(path: Path) -> None:
    foreign = path.parent / "audit.jsonl.000000000011"
    foreign.write_text("somebody's")
    before = path.read_bytes()
    with pytest.raises(Misconfigured, match="cannot be rotated"):
        rotate(AuditLog(str(path)), keep=0)
    assert (foreign.read_text(), path.read_bytes()) == ("somebody's", before)


def _write(path: str, count: int) -> None:
    for number in range(count):
        AuditLog(path).write("request", number=number)


def test_writers_and_rotations_at_once_lose_no_line(tmp_path: Path) -> None:
    path = str(tmp_path / "log")
    fork = multiprocessing.get_context("fork")
    writers = [fork.Process(target=_write, args=(path, 100)) for _ in range(4)]
    for writer in writers:
        writer.start()
    rotations = 0
    while rotations < 3 or any(writer.is_alive() for writer in writers):
        rotations += bool(rotate(AuditLog(path), keep=0))
    for writer in writers:
        writer.join(60)
    report = verification.verify(path)
    assert [writer.exitcode for writer in writers] == [0] * 4
    assert (report.lines, report.findings) == (400 + rotations, ())


def test_a_disk_that_takes_half_a_line_leaves_the_chain_whole(path: Path) -> None:
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 40, hard))
    try:
        with pytest.raises(Misconfigured, match="cannot be written") as caught:
            AuditLog(str(path)).write("request")
        AuditLog(str(path), required=False).write("request")  # audit.when_full = "continue"
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)
    assert caught.value.hint in (errno.errorcode[errno.EFBIG], "File too large", "No space left on device")
    assert path.read_bytes() == before
    assert problems(path) == []
