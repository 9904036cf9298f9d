"""What `enc` removes of files that were deleted while they were open: libfuse's own names, and nothing of a user."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from client.mount import hidden_files, sftp
from client.state.records import Mount
from client.state.store import Store
from client.system import linux

HIDDEN = ".fuse_hidden0000000500000001"
OTHERS = [
    ".fuse_hidden0000000600000001",  # of another file
    ".fuse_hidden00000005-notes",
    ".fuse_hidden000000050000000100",
    ".fuse_hidden00000005",
    ".fuse_hidden-list",
]


class Gateway:
    """Directories by path, with the names in each."""

    def __init__(self, listed: dict[str, list[str]]) -> None:
        self.listed = listed
        self.removed: list[str] = []

    def names(self, directory: str) -> list[str]:
        return self.listed.get(directory, [])

    def remove(self, path: str) -> None:
        self.removed.append(path)


@pytest.mark.parametrize(("p", "file"), [("p", "hidden-p"), ("alice/p", "hidden-alice%p")])
def test_what_is_noted_is_removed_and_nothing_that_a_user_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, p: str, file: str
) -> None:
    gateway = Gateway({p: [HIDDEN, *OTHERS], f"{p}q": [HIDDEN], f"{p}/sub": ["x", HIDDEN]})

    @contextlib.contextmanager
    def connected(*_: object) -> Iterator[Gateway]:
        yield gateway

    monkeypatch.setattr(sftp, "connected", connected)
    store = cast("Store", SimpleNamespace(directory=str(tmp_path)))
    (tmp_path / file).write_text(json.dumps({below: ["00000005", "x"] for below in ("", "sub", "../pq", "/")}))
    hidden_files.remove_left(store, p, 1.0)
    assert sorted(gateway.removed) == [f"{p}/{HIDDEN}", f"{p}/sub/{HIDDEN}"]


def test_beside_a_deleted_file_only_its_own_hidden_one_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (HIDDEN, *OTHERS):
        (tmp_path / name).write_text("")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / HIDDEN).write_text("")
    monkeypatch.setattr(linux, "deleted_files_open_in", lambda *_: {("", 5)})
    mount = cast("Mount", SimpleNamespace(mount_id=1, directory=str(tmp_path)))
    assert hidden_files.open_in(mount, 5.0) == [HIDDEN]
