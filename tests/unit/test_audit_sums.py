"""Sums of closed logs: they save reading, and are not believed when they may be wrong. Verifying from a noted head."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from gateway.audit import history, sums, verification
from gateway.audit.archives import archives
from gateway.audit.log import AuditLog
from gateway.audit.rotation import rotate
from gateway.audit.verification import Head
from tests.watching import opened_in

FIRST, SECOND = "audit.jsonl.000000000004", "audit.jsonl.000000000009"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A log that was rotated twice: records 1-4, 5-9, 10-14."""
    path = tmp_path / "audit.jsonl"
    log = AuditLog(str(path), principal="dev1")
    for part in range(3):
        if part:
            rotate(log, keep=0)
        log.write("request", decision="allow", reason="authorized")
        log.write("request", decision="deny", reason="busy")
        log.write("locked", reason="hangup")
        log.write("throttled", refused=10, passed=2)
    return path


@contextlib.contextmanager
def logs_opened(path: Path) -> Iterator[Callable[[], set[str]]]:
    """The names of the logs of `path` that were opened since the block began."""
    with opened_in(path.parent) as names:
        yield lambda: {name for name in names() if not name.endswith((".sum", ".head"))}


def counted(path: Path) -> dict[str, dict[str, int]]:
    found = history.tally(str(path)).as_dict()["counted"]
    assert isinstance(found, dict)
    return found


def expected(times: int) -> dict[str, dict[str, int]]:
    return {
        "decisions": {"allow": times, "deny": times},
        "refusals": {"busy": times},
        "locked": {"hangup": times},
        "unlock-failed": {},
        "lock-incomplete": {},
        "others": {"throttled": 11 * times},
    }


def sum_of(path: Path, name: str = FIRST) -> Path:
    return path.parent / f"{name}.sum"


def problems(path: Path, quick: bool) -> list[tuple[str, int]]:
    return [(one.file, one.line) for one in verification.verify(str(path), quick).findings]


def head_at(path: Path, number: int) -> Head:
    lines = [line for log in [*archives(str(path)), str(path)] for line in Path(log).read_bytes().splitlines()]
    return Head(number=number, hash=sha256(lines[number - 1]).hexdigest())


def recomputed(path: Path) -> None:
    """Make the chain sound again after a change, as an attacker who knows the format would."""
    prev = "0" * 64
    for log in [*archives(str(path)), str(path)]:
        lines = []
        for line in Path(log).read_bytes().splitlines():
            lines.append(json.dumps({**json.loads(line), "prev": prev}, separators=(",", ":")).encode())
            prev = sha256(lines[-1]).hexdigest()
        Path(log).write_bytes(b"".join(line + b"\n" for line in lines))
    Path(f"{path}.head").write_text(f"{14:020d} {prev}\n")


def altered(log: Path) -> None:
    """Change a record to one of the same length, and set the file's times back."""
    before = log.stat()
    with log.open("r+b") as file:
        file.write(log.read_bytes().replace(b'"busy"', b'"bush"', 1))
    os.utime(log, ns=(before.st_atime_ns, before.st_mtime_ns))


# What they save


def test_closed_logs_are_not_opened_again(path: Path) -> None:
    with logs_opened(path) as names:
        assert counted(path) == expected(3)
        report = verification.verify(str(path), quick=True)
        assert names() == {"audit.jsonl"}
        assert (report.lines, report.unread, report.findings) == (14, 9, ())
        assert verification.verify(str(path)) == report.replace(unread=0)
        assert names() == {"audit.jsonl", FIRST, SECOND}


def test_sums_lie_beside_the_log_for_its_owner_alone_and_go_with_it(path: Path) -> None:
    assert sum_of(path).stat().st_mode & 0o777 == 0o600
    rotate(AuditLog(str(path)), keep=1)
    assert sorted(one.name for one in path.parent.iterdir()) == [
        "audit.jsonl",
        "audit.jsonl.000000000014",
        "audit.jsonl.000000000014.sum",
        "audit.jsonl.head",
    ]
    assert counted(path) == expected(1)
    report = verification.verify(str(path), quick=True)
    assert (report.first, report.lines, report.unread, report.findings) == (10, 6, 5, ())


def test_logs_from_before_there_were_sums_get_them(path: Path) -> None:
    for name in (FIRST, SECOND):
        sum_of(path, name).unlink()
    assert (history.note(str(path)), history.note(str(path))) == (2, 0)
    with logs_opened(path) as names:
        assert counted(path) == expected(3)
        assert names() == {"audit.jsonl"}


# When they are not believed


SPOILT = {
    "empty": b"",
    "no JSON": b"{",
    "no object": b"[]",
    "no fields": b"{}",
    "deep": b"[" * 60_000,
    "large": b" " * 70_000,
    "binary": b"\xff\0",
}
CHANGED: dict[str, Callable[[dict[str, object]], object]] = {
    "another version": lambda values: values.update(version=2),
    "a version before versions": lambda values: values.pop("version"),
    "of a file that was shorter": lambda values: values["file"].__setitem__(1, 3),  # type: ignore[index]
    "of an older file": lambda values: values["file"].__setitem__(3, 3),  # type: ignore[index]
    "no tally": lambda values: values.pop("tally"),
    "a negative number": lambda values: values["tally"]["counted"]["locked"].update(hangup=-1),  # type: ignore[index]
    "a text for a number": lambda values: values["tally"]["counted"]["locked"].update(hangup="7"),  # type: ignore[index]
    "no time": lambda values: values["tally"].update(newest="yesterday"),  # type: ignore[attr-defined]
    "a list for a counter": lambda values: values["tally"]["counted"].update(locked=[1]),  # type: ignore[index]
    "a text for a chain": lambda values: values.update(chain="7"),
    "a text in the chain": lambda values: values["chain"].update(lines="4"),  # type: ignore[attr-defined]
    "an unknown field": lambda values: values["chain"].update(more=1),  # type: ignore[attr-defined]
}


def is_read_again(path: Path) -> bool:
    with logs_opened(path) as names:
        assert counted(path) == expected(3)
        report = verification.verify(str(path), quick=True)
        assert (report.lines, report.unread, report.findings) == (14, 5, ())
        return names() == {"audit.jsonl", FIRST}


@pytest.mark.parametrize("content", SPOILT.values(), ids=SPOILT)
def test_sums_that_are_malformed_are_ignored(path: Path, content: bytes) -> None:
    sum_of(path).write_bytes(content)
    assert is_read_again(path)


@pytest.mark.parametrize("change", CHANGED.values(), ids=CHANGED)
def test_sums_that_are_not_of_this_version_and_file_are_ignored(
    path: Path, change: Callable[[dict[str, object]], object]
) -> None:
    values = json.loads(sum_of(path).read_text())
    change(values)
    sum_of(path).write_text(json.dumps(values))
    assert is_read_again(path)


def test_no_link_is_followed_and_no_fifo_waited_for(path: Path) -> None:
    sum_of(path).rename(path.parent / "elsewhere")
    sum_of(path).symlink_to("elsewhere")
    assert is_read_again(path)
    sum_of(path).unlink()
    os.mkfifo(sum_of(path))
    assert is_read_again(path)


def test_a_closed_log_that_was_changed_is_read_again_also_with_its_time_set_back(path: Path) -> None:
    altered(path.parent / FIRST)
    assert counted(path)["refusals"] == {"busy": 2, "bush": 1}
    assert problems(path, quick=True) == problems(path, quick=False) == [(FIRST, 3)]
    history.note(str(path))
    assert problems(path, quick=True) == [(FIRST, 3)], "sums of a log with a gap are none for a verification"
    assert counted(path)["refusals"] == {"busy": 2, "bush": 1}


@pytest.mark.parametrize(("name", "found"), [(FIRST, (SECOND, 1)), (SECOND, ("", 1))])
def test_a_missing_log_is_found_quickly_too(path: Path, name: str, found: tuple[str, int]) -> None:
    (path.parent / name).unlink()
    assert problems(path, quick=True) == problems(path, quick=False) == [found]


def test_the_last_line_of_a_closed_log_is_compared_with_the_next_log(path: Path) -> None:
    values = json.loads(sum_of(path, SECOND).read_text())
    values["chain"]["head"] = "f" * 64
    sum_of(path, SECOND).write_text(json.dumps(values))
    assert problems(path, quick=True) == [("", 1)]


def test_a_full_verification_believes_no_sums(path: Path) -> None:
    """Somebody who may write there changes a log and its sums: what the quick one cannot find."""
    values = json.loads(sum_of(path).read_text())
    altered(path.parent / FIRST)
    values["file"] = sums.identity((path.parent / FIRST).stat())
    sum_of(path).write_text(json.dumps(values))
    assert problems(path, quick=True) == []
    assert problems(path, quick=False) == [(FIRST, 3)]


def test_sums_that_cannot_be_written_stop_no_rotation(path: Path) -> None:
    sum_of(path, "audit.jsonl.000000000014").mkdir()
    rotate(AuditLog(str(path)), keep=0)
    assert problems(path, quick=True) == []
    assert counted(path) == expected(3)


def test_a_log_of_one_line_has_sums(tmp_path: Path) -> None:
    log = AuditLog(str(tmp_path / "log"))
    log.write("request")
    for _ in range(3):
        rotate(log, keep=0)
    report = verification.verify(log.path, quick=True)
    assert (report.lines, report.unread) == (4, 3) and not report.findings


# From a noted head


@pytest.mark.parametrize(
    ("number", "read"), [(12, {"audit.jsonl"}), (9, {"audit.jsonl", SECOND}), (14, {"audit.jsonl"})]
)
def test_from_a_noted_head_on_only_what_follows_is_read(path: Path, number: int, read: set[str]) -> None:
    head = head_at(path, number)
    with logs_opened(path) as names:
        report = verification.verify_after(str(path), head)
        assert names() == read
    assert (report.findings, report.lines, report.first, report.last) == ((), 15 - number, number, 14)
    assert report.head == verification.verify(str(path)).head


def test_the_whole_chain_recomputed_is_found_by_who_noted_a_head(path: Path) -> None:
    head = head_at(path, 7)
    altered(path.parent / FIRST)
    recomputed(path)
    assert verification.verify(str(path)).findings == ()
    (finding,) = verification.verify_after(str(path), head).findings
    assert finding.file == SECOND and "no line is number 7 with that hash" in finding.problem


@pytest.mark.parametrize("name", [SECOND, "audit.jsonl"])
def test_what_follows_a_noted_head_is_checked(path: Path, name: str) -> None:
    head = head_at(path, 6)
    altered(path.parent / name)
    found = verification.verify_after(str(path), head).findings
    assert [one.file for one in found] == [name.removeprefix("audit.jsonl") and name]


@pytest.mark.parametrize("number", [0, 3, 15, 10**11])
def test_a_head_that_no_line_has_is_a_finding(path: Path, number: int) -> None:
    head = Head(number=number, hash=head_at(path, 7).hash)
    assert len(verification.verify_after(str(path), head).findings) == 1


def test_a_line_that_was_cut_off_after_the_noted_one_is_found(path: Path) -> None:
    head = head_at(path, 12)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-2]))
    (finding,) = verification.verify_after(str(path), head).findings
    assert "head file" in finding.problem
