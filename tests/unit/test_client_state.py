"""What enc remembers on a user's machine: read back as it was written, and nothing else is taken for it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from client.errors import DamagedState
from client.state.records import Connection, Mount, State, Terminal
from client.state.store import Store
from client.system import processes
from client.system.processes import Process

WHOLE = State(
    connection=Connection("gateway", Process(12, 345), "s1"),
    terminals={"12-345": Terminal("12-345", (Process(12, 345), Process(6, 7)), "/dev/pts/1", Process(8, 9))},
    mounts={"one": Mount("one", "/home/x/enc/o n\xe9\udcff", True, "12-345", Process(1, 2), sshfs=Process(3, 4))},
    lost=("s0",),
)


def written(store: Store) -> Any:
    return json.loads((Path(store.directory) / "state.json").read_text())


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(str(tmp_path))
    made.change(lambda _: WHOLE)
    return made


def test_it_is_read_as_it_was_written(store: Store) -> None:
    assert store.read() == WHOLE
    store.change(lambda _: State())
    assert store.read() == State()


def test_none_is_an_empty_one_but_not_for_those_who_know_of_one(tmp_path: Path) -> None:
    assert Store(str(tmp_path)).read() == State()
    for gone in (tmp_path, tmp_path / "gone"):
        with pytest.raises(DamagedState):
            Store(str(gone), must_exist=True).read()
    with pytest.raises(DamagedState):
        Store(str(tmp_path / "gone"), must_exist=True).change(lambda now: now)


def _set(*path: str | int, to: object) -> Callable[[Any], object]:
    def change(plain: Any) -> object:
        at = plain
        for key in path[:-1]:
            at = at[key]
        at[path[-1]] = to
        return plain

    return change


CHANGES = [
    pytest.param(lambda _: None, id="null"),
    pytest.param(lambda _: [], id="a-list"),
    pytest.param(lambda plain: {**plain, "more": 1}, id="one-key-more"),
    pytest.param(lambda plain: {"mounts": plain["mounts"]}, id="keys-missing"),
    pytest.param(_set("mounts", to=7), id="mounts-number"),
    pytest.param(_set("mounts", to={"one": {}}), id="mounts-object"),
    pytest.param(_set("mounts", 0, to="one"), id="mount-string"),
    pytest.param(_set("mounts", 0, to=None), id="mount-null"),
    pytest.param(_set("mounts", 0, "directory", to=["/"]), id="directory-list"),
    pytest.param(_set("mounts", 0, "directory", to="/a\0b"), id="directory-with-nul"),
    pytest.param(_set("mounts", 0, "directory", to="/\ud800"), id="directory-that-is-none"),
    pytest.param(_set("mounts", 0, "made", to=1), id="bool-number"),
    pytest.param(_set("mounts", 0, "mount_id", to=True), id="number-bool"),
    pytest.param(_set("mounts", 0, "owner", to=None), id="owner-null"),
    pytest.param(_set("mounts", 0, "sshfs", to=[1]), id="process-short"),
    pytest.param(_set("mounts", 0, "sshfs", to=[1, 2, 3]), id="process-long"),
    pytest.param(_set("mounts", 0, "sshfs", to=["1", 2]), id="process-strings"),
    pytest.param(_set("terminals", 0, "followed", to=[[1, 2], 3]), id="followed"),
    pytest.param(_set("connection", to="gateway"), id="connection"),
    pytest.param(_set("lost", to=[1]), id="lost"),
]


@pytest.mark.parametrize("change", CHANGES)
def test_what_we_would_not_write_is_refused(store: Store, change: Callable[[Any], object]) -> None:
    text = json.dumps(change(written(store)))
    (Path(store.directory) / "state.json").write_text(text)
    with pytest.raises(DamagedState, match=r"state\.json is damaged"):
        store.read()


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"9" * 5000], ids=range(5))
def test_what_is_no_json_is_refused(store: Store, data: bytes) -> None:
    (Path(store.directory) / "state.json").write_bytes(data)
    with pytest.raises(DamagedState):
        store.read()


def test_what_is_no_file_is_refused_and_not_waited_for(store: Store) -> None:
    path = Path(store.directory) / "state.json"
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(DamagedState):
        store.read()
    path.unlink()
    path.mkdir()
    with pytest.raises(DamagedState):
        store.read()


@pytest.mark.parametrize("pid", [0, -1, 1 << 31, 1 << 80])
def test_a_number_that_is_no_pid_is_a_process_that_has_ended(pid: int) -> None:
    assert processes.open_pidfd(Process(pid, 1)) is None
    processes.end(Process(pid, 1))
