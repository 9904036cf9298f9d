"""The audit log: its chain, what `verify` finds, and that many writers at once keep it sound."""

from __future__ import annotations

import json
import multiprocessing
import os
import socket
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit import verification
from gateway.audit.log import FIRST_PREV, AuditLog
from gateway.errors import Misconfigured

COUNT = 6

Lines = list[bytes]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A log of COUNT lines."""
    path = tmp_path / "audit.jsonl"
    log = AuditLog(str(path), principal="dev1")
    for number in range(COUNT):
        log.write("request", number=number)
    return path


def lines_of(path: Path) -> Lines:
    return path.read_bytes().splitlines()


def put(path: Path, lines: Lines) -> None:
    path.write_bytes(b"".join(line + b"\n" for line in lines))


def found(path: Path) -> list[int]:
    return [finding.line for finding in verification.verify(str(path)).findings]


def rechained(lines: Lines) -> Lines:
    """The same records with correct hashes, as an attacker who knows the format would write them."""
    made: Lines = []
    for line in lines:
        prev = sha256(made[-1]).hexdigest() if made else FIRST_PREV
        made.append(json.dumps({**json.loads(line), "prev": prev}, separators=(",", ":")).encode())
    return made


def test_a_record_has_number_time_event_context_fields_and_the_hash_of_the_line_before(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = AuditLog(str(path), principal="dev1")
    log.bound(request="r1").write("request", verb="ls")
    log.write("result", status=0)
    first, second = lines_of(path)
    record = json.loads(first)
    assert list(record) == ["seq", "time", "event", "principal", "request", "verb", "prev"]
    assert record["prev"] == "0" * 64
    assert len(record["time"]) == len("2024-01-01T00:00:00.000Z") and record["time"].endswith("Z")
    record = json.loads(second)
    assert (record["seq"], record["prev"]) == (2, sha256(first).hexdigest())
    assert "request" not in record
    assert Path(f"{path}.head").read_text() == f"{2:020d} {sha256(second).hexdigest()}\n"


def test_log_and_head_are_the_gateways_alone(path: Path) -> None:
    assert path.stat().st_mode & 0o777 == 0o600
    assert Path(f"{path}.head").stat().st_mode & 0o777 == 0o600


def test_an_untouched_log_is_sound(path: Path) -> None:
    report = verification.verify(str(path))
    assert (report.lines, report.findings) == (COUNT, ())
    assert report.head == sha256(lines_of(path)[-1]).hexdigest()


def test_an_empty_log_is_sound(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.touch()
    assert verification.verify(str(path)) == verification.Report(lines=0, head=FIRST_PREV, findings=())


def test_a_missing_log_is_an_error_and_not_a_sound_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        verification.verify(str(tmp_path / "log"))


def changed(at: int) -> Callable[[Lines], Lines]:
    return lambda lines: [*lines[:at], lines[at].replace(b"dev1", b"dev2"), *lines[at + 1 :]]


def removed(at: int) -> Callable[[Lines], Lines]:
    return lambda lines: [*lines[:at], *lines[at + 1 :]]


def inserted(at: int, line: bytes) -> Callable[[Lines], Lines]:
    return lambda lines: [*lines[:at], line, *lines[at:]]


def copied(at: int) -> Callable[[Lines], Lines]:
    return lambda lines: [*lines[: at + 1], lines[at], *lines[at + 1 :]]


def swapped(at: int) -> Callable[[Lines], Lines]:
    return lambda lines: [*lines[:at], lines[at + 1], lines[at], *lines[at + 2 :]]


NO_RECORD = b'{"event":"request"}'
TAMPERINGS = [
    pytest.param(changed(0), 2, id="first line changed"),
    pytest.param(changed(2), 4, id="middle line changed"),
    pytest.param(changed(COUNT - 1), COUNT, id="last line changed"),
    pytest.param(removed(0), 1, id="first line removed"),
    pytest.param(removed(2), 3, id="middle line removed"),
    pytest.param(removed(COUNT - 1), COUNT - 1, id="last line removed"),
    pytest.param(lambda lines: lines[:2], 2, id="most lines removed"),
    pytest.param(lambda lines: [], 0, id="every line removed"),
    pytest.param(inserted(0, NO_RECORD), 1, id="line inserted at the start"),
    pytest.param(inserted(2, NO_RECORD), 3, id="line inserted in the middle"),
    pytest.param(inserted(COUNT, NO_RECORD), COUNT + 1, id="line inserted at the end"),
    pytest.param(inserted(2, b""), 3, id="empty line inserted"),
    pytest.param(inserted(2, b"[1]"), 3, id="a value that is no object inserted"),
    pytest.param(inserted(2, b"[" * 100_000), 3, id="a deeply nested value inserted"),
    pytest.param(inserted(2, b"\xff\xfe"), 3, id="bytes that are not UTF-8 inserted"),
    pytest.param(copied(2), 4, id="line copied"),
    pytest.param(swapped(0), 1, id="first two lines swapped"),
    pytest.param(swapped(2), 3, id="two lines swapped"),
    pytest.param(swapped(COUNT - 2), COUNT - 1, id="last two lines swapped"),
    pytest.param(lambda lines: rechained(changed(2)(lines)), COUNT, id="changed, with hashes that fit"),
    pytest.param(lambda lines: rechained(removed(2)(lines)), 3, id="removed, with hashes that fit"),
    pytest.param(lambda lines: rechained(swapped(2)(lines)), 3, id="swapped, with hashes that fit"),
    pytest.param(
        lambda lines: rechained([line.replace(b'"seq":3', b'"seq":"3"') for line in lines]),
        3,
        id="a number that is a string, with hashes that fit",
    ),
    pytest.param(
        lambda lines: rechained([line.replace(b'"seq":3', b'"seq":null') for line in lines]),
        3,
        id="no number, with hashes that fit",
    ),
]


@pytest.mark.parametrize(("tamper", "line"), TAMPERINGS)
def test_verify_finds_tampering_and_its_line(path: Path, tamper: Callable[[Lines], Lines], line: int) -> None:
    put(path, tamper(lines_of(path)))
    assert found(path)[:1] == [line]


@pytest.mark.parametrize("keep", range(COUNT))
def test_lines_cut_off_the_end_are_still_found_when_others_were_written_since(path: Path, keep: int) -> None:
    put(path, lines_of(path)[:keep])
    AuditLog(str(path)).write("request")
    AuditLog(str(path)).write("request")
    (finding,) = verification.verify(str(path)).findings
    assert (finding.line, finding.problem) == (keep + 1, f"is number {COUNT + 1}, expected {keep + 1}")


@given(data=st.data())
def test_verify_finds_any_change_of_any_bytes(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path = tmp_path_factory.mktemp("log") / "log"
    for _ in range(3):
        AuditLog(str(path)).write("request")
    before = path.read_bytes()
    start = data.draw(st.integers(0, len(before) - 1))
    end = data.draw(st.integers(start, min(len(before), start + 300)))
    after = before[:start] + data.draw(st.binary(max_size=8)) + before[end:]
    path.write_bytes(after)
    # a last line without its line end is valid: the next writer adds the line end
    assert bool(found(path)) == (after not in (before, before[:-1]))


def test_a_torn_last_line_is_found_and_does_not_stop_the_log(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content + content.splitlines()[-1][:40])
    assert found(path) == [COUNT + 1]
    AuditLog(str(path)).write("after")
    assert found(path) == [COUNT + 1]
    assert json.loads(lines_of(path)[-1])["seq"] == COUNT + 2


def test_a_last_line_that_lacks_only_its_line_end_is_whole(path: Path) -> None:
    path.write_bytes(path.read_bytes().removesuffix(b"\n"))
    AuditLog(str(path)).write("after")
    assert found(path) == []


def test_a_head_one_behind_is_what_a_crash_leaves_and_is_accepted(path: Path) -> None:
    head = Path(f"{path}.head")
    behind = head.read_text()
    AuditLog(str(path)).write("request")
    head.write_text(behind)
    assert found(path) == []
    AuditLog(str(path)).write("request")
    assert found(path) == []


def test_a_head_two_behind_is_found(path: Path) -> None:
    head = Path(f"{path}.head")
    behind = head.read_text()
    for _ in range(2):
        AuditLog(str(path)).write("request")
    head.write_text(behind)
    assert found(path) == [COUNT + 2]


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(None, id="removed"),
        pytest.param(b"", id="emptied"),
        pytest.param(b"\xff", id="not ASCII"),
        pytest.param(b"x y\n", id="without a number"),
        pytest.param(b"00000000000000000006\n", id="without a hash"),
        pytest.param(b"00000000000000000006 " + b"0" * 64 + b"\n", id="with another hash"),
    ],
)
def test_a_damaged_head_is_found_and_does_not_stop_the_log(path: Path, head: bytes | None) -> None:
    file = Path(f"{path}.head")
    if head is None:
        file.unlink()
    else:
        file.write_bytes(head)
    assert found(path) == [COUNT]
    AuditLog(str(path)).write("request")
    assert found(path) == []


def _append(path: str, writer: int, count: int) -> None:
    log = AuditLog(path, writer=writer)
    for number in range(count):
        log.write("request", number=number)


def test_many_processes_at_once_keep_the_chain_sound(tmp_path: Path) -> None:
    path = tmp_path / "log"
    fork = multiprocessing.get_context("fork")
    writers = [fork.Process(target=_append, args=(str(path), number, 50)) for number in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0] * 8
    report = verification.verify(str(path))
    assert (report.lines, report.findings) == (400, ())
    records = [json.loads(line) for line in lines_of(path)]
    for writing in range(8):
        assert [record["number"] for record in records if record["writer"] == writing] == list(range(50))


def test_syslog_gets_a_copy_of_each_record(tmp_path: Path) -> None:
    path, address = tmp_path / "log", str(tmp_path / "dev-log")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as syslog:
        syslog.bind(address)
        syslog.settimeout(10)
        log = AuditLog(str(path), address, principal="dev1")
        log.write("request")
        log.bound(request="r").write("result")
        for line in lines_of(path):
            assert syslog.recv(65536) == b"<86>enc[%d]: %s" % (os.getpid(), line)


@pytest.mark.parametrize("kind", ["nothing there", "nobody listens", "no socket", "full"])
def test_a_syslog_that_does_not_take_it_stops_nothing(tmp_path: Path, kind: str) -> None:
    path, address = tmp_path / "log", tmp_path / "dev-log"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as syslog:
        if kind == "no socket":
            address.touch()
        elif kind != "nothing there":
            syslog.bind(str(address))
        if kind == "nobody listens":
            syslog.close()
        log = AuditLog(str(path), str(address))
        for _ in range(600):  # more than a socket queues (net.unix.max_dgram_qlen)
            log.write("request")
    assert verification.verify(str(path)).lines == 600
    assert found(path) == []


def test_a_log_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="cannot be opened"):
        AuditLog(str(tmp_path / "none" / "log")).write("request")
    target = tmp_path / "target"
    (tmp_path / "link").symlink_to(target)
    with pytest.raises(Misconfigured, match="cannot be opened"):
        AuditLog(str(tmp_path / "link")).write("request")
    assert not target.exists()
    with pytest.raises(Misconfigured, match="cannot be"):
        AuditLog("/dev/full").write("request")


@given(st.dictionaries(st.from_regex(r"[a-z]{3,9}", fullmatch=True), st.text(st.characters()) | st.integers()))
def test_a_record_is_one_line_whatever_its_fields_hold(
    tmp_path_factory: pytest.TempPathFactory, fields: dict[str, object]
) -> None:
    path = tmp_path_factory.mktemp("log") / "log"
    about = {key: value for key, value in fields.items() if key not in ("seq", "time", "event", "prev", "self")}
    AuditLog(str(path)).write("request", **about)
    (line,) = path.read_bytes().splitlines()
    record = json.loads(line)
    assert all(record[key] == value for key, value in about.items())
    assert all(0x20 <= byte < 0x7F for byte in line)
