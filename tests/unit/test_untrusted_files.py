"""Files in directories of the gateway's account are read as from a stranger: no link, nothing that blocks, bounded."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.audit import lines, query, rotation, verification
from gateway.audit.log import AuditLog
from gateway.audit.query import Filter
from gateway.base import files
from gateway.errors import Misconfigured
from gateway.identity import enrolment
from gateway.identity.names import Principal
from gateway.limits import backoff, concurrency

DEV1 = Principal.of("dev1")


def fifo(path: Path) -> None:
    os.mkfifo(path)


def link(path: Path) -> None:
    path.symlink_to(path.parent / "elsewhere")
    (path.parent / "elsewhere").write_text("secret")


def socket(path: Path) -> None:
    os.mknod(path, 0o140600)


TRAPS = [fifo, link, socket, Path.mkdir]
pytestmark = pytest.mark.timeout(60)


@pytest.mark.parametrize("trap", TRAPS)
@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_RDWR | os.O_CREAT, os.O_WRONLY | os.O_CREAT | os.O_TRUNC])
def test_what_is_no_file_is_not_opened(tmp_path: Path, trap: Callable[[Path], None], flags: int) -> None:
    trap(tmp_path / "x")
    before = os.listdir("/proc/self/fd")
    with pytest.raises(files.Irregular):
        files.open_regular(str(tmp_path / "x"), flags)
    assert os.listdir("/proc/self/fd") == before


def test_a_file_is_read_up_to_its_bound(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"12345")
    assert files.read(str(tmp_path / "x"), 5) == b"12345"
    with pytest.raises(files.Irregular, match="more than 4 bytes"):
        files.read(str(tmp_path / "x"), 4)
    with pytest.raises(FileNotFoundError):
        files.read(str(tmp_path / "y"), 4)
    fd = files.open_directory(str(tmp_path))
    assert files.read("x", 5, fd) == b"12345"
    os.close(fd)


@pytest.mark.parametrize("trap", TRAPS)
@pytest.mark.parametrize("name", ["log", "log.head"])
def test_a_log_that_is_no_file_is_told(tmp_path: Path, trap: Callable[[Path], None], name: str) -> None:
    log = AuditLog(str(tmp_path / "log"))
    if name == "log.head":
        log.write("x")
        (tmp_path / name).unlink()
    trap(tmp_path / name)
    with pytest.raises(Misconfigured):
        log.write("x")
    if name == "log":
        for look in (lambda path: list(query.events(path, Filter())), verification.verify):
            with pytest.raises(files.Irregular):
                look(log.path)
    else:
        assert verification.verify(log.path).findings and len(list(query.events(log.path, Filter()))) == 1
    assert not (tmp_path / "elsewhere").exists() or (tmp_path / "elsewhere").read_text() == "secret"


@pytest.mark.parametrize("trap", TRAPS)
def test_no_log_is_rotated_into_what_is_no_file(tmp_path: Path, trap: Callable[[Path], None]) -> None:
    log = AuditLog(str(tmp_path / "log"))
    log.write("x")
    trap(tmp_path / "log.next")
    with pytest.raises(Misconfigured):
        rotation.rotate(log, 0)
    log.write("x")


def test_a_line_without_end_is_no_record_and_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b'{"seq":1}\n')
    with path.open("ab") as file:
        file.truncate(1 << 28)
    with path.open("ab") as file:
        file.write(b'\n{"seq":3}\n')
    with lines.open_log(str(path)) as opened:
        found = list(lines.of(opened))
    assert [len(line) for line in found] == [9, lines.MAX_LINE + 1, 9]
    assert [event.seq for event in query.events(str(path), Filter())] == [1, 3]


@pytest.mark.parametrize("trap", TRAPS)
def test_a_limit_whose_file_is_none_refuses_its_principal(tmp_path: Path, trap: Callable[[Path], None]) -> None:
    for kind, name in (("places", "u-dev1.sessions"), ("attempts", "u-dev1")):
        (tmp_path / kind).mkdir()
        trap(tmp_path / kind / name)
    with pytest.raises(Misconfigured):
        concurrency.acquire(str(tmp_path), DEV1, concurrency.SESSIONS, 3)
    with pytest.raises(Misconfigured):
        backoff.begin_attempt(str(tmp_path), DEV1, lambda: None)
    os.close(concurrency.acquire(str(tmp_path), Principal.of("dev2"), concurrency.SESSIONS, 3))


@pytest.mark.parametrize("content", [b"p 1 " + b"9" * 5000, b"p " + b"9" * 5000 + b" 1", b"\0" * 100_000, b"\xff 1 1"])
def test_wrong_passphrases_that_somebody_wrote_down_are_read_or_ignored(tmp_path: Path, content: bytes) -> None:
    os.close(backoff.begin_attempt(str(tmp_path), DEV1, lambda: None))
    (tmp_path / "attempts" / "u-dev1").write_bytes(content)
    fd = backoff.begin_attempt(str(tmp_path), DEV1, lambda: None)
    assert backoff.delay(fd, "p", 30) >= 0  # type: ignore[arg-type]
    os.close(fd)


@pytest.mark.parametrize("trap", TRAPS)
def test_a_key_that_is_no_file_was_not_handed_in(tmp_path: Path, trap: Callable[[Path], None]) -> None:
    trap(tmp_path / ("k-" + "A" * 43))
    assert enrolment.pending(str(tmp_path)) == ()


def test_staged_files_are_removed_when_they_are_old_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".new-x").touch()
    (tmp_path / ".new-directory").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / ".new-y").touch()
    (tmp_path / "link").symlink_to("elsewhere")
    assert files.remove_abandoned(str(tmp_path)) == 0
    monkeypatch.setattr(files, "ABANDONED_AFTER", -1)  # a ctime cannot be made old
    assert files.remove_abandoned(str(tmp_path)) == 1
    assert files.remove_abandoned(str(tmp_path / "link")) == 0 == files.remove_abandoned(str(tmp_path / "none"))
    assert {path.name for path in tmp_path.iterdir()} == {".new-directory", "elsewhere", "link"}
    assert (tmp_path / "elsewhere" / ".new-y").exists()
