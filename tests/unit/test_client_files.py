"""Replacing a file as a whole, and locks."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from client.system import files, linux


def test_a_file_is_replaced_as_a_whole_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for text in ("one\n", "and the o\xf6ther\n"):
        files.replace(str(path), text)
        assert path.read_text(encoding="utf-8") == text
        assert [one.name for one in tmp_path.iterdir()] == ["file"]
        assert path.stat().st_mode & 0o777 == 0o600
    files.replace(str(path), "", 0o644)
    assert path.stat().st_mode & 0o777 == 0o644


def test_what_a_killed_process_left_is_neither_followed_nor_in_the_way(tmp_path: Path) -> None:
    path, other = tmp_path / "file", tmp_path / "other"
    other.write_text("untouched")
    Path(f"{path}.new-{os.getpid()}").symlink_to(other)
    files.replace(str(path), "new")
    assert path.read_text() == "new" and other.read_text() == "untouched"


def test_file_and_directory_are_synced_and_the_file_before_it_is_renamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done, sync, rename = [], os.fsync, os.rename

    def synced(fd: int) -> None:
        done.append("directory" if os.path.isdir(f"/proc/self/fd/{fd}") else "file")
        sync(fd)

    def renamed(old: str, new: str) -> None:
        done.append("rename")
        rename(old, new)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "rename", renamed)
    files.replace(str(tmp_path / "file"), "text")
    assert done == ["file", "rename", "directory"]


def test_after_a_failure_the_old_file_is_there_and_no_draft(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError):
        files.replace(str(path), "\ud800")
    assert path.read_text() == "old" and len(list(tmp_path.iterdir())) == 1


def test_a_lock_is_seen_until_its_last_descriptor_is_closed(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    assert not files.is_locked(path), "there is no file"
    first = files.open_locked(path)
    second = os.dup(first)
    os.close(first)
    assert files.is_locked(path)
    os.close(second)
    assert not files.is_locked(path)
    with pytest.raises(FileNotFoundError):
        files.open_locked(str(tmp_path / "gone" / "lock"))


def test_a_mount_of_others_whose_path_has_a_carriage_return_hides_no_mount(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "mountinfo"
    line = b"%d 1 0:5 / /mnt/%s rw - tmpfs none rw\n"
    table.write_bytes(line % (7, "a\r\x0c\x85b c\u2028".replace(" ", "\\040").encode()) + line % (8, b"other"))
    monkeypatch.setattr(linux, "MOUNT_TABLE", str(table))
    assert [(one.id, one.path) for one in linux.mount_table()] == [(7, "/mnt/a\r\x0c\x85b c\u2028"), (8, "/mnt/other")]
