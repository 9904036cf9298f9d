"""What can be the name of a project for `enc`, and what a name with a slash becomes on this machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from client.connection import session_events
from client.errors import CannotCreate, Usage
from client.mount import hidden_files, mount_point, sshfs
from client.operations import projects
from client.state.store import Store
from client.system import linux, names

KEY = "SHA256:" + "aB3_-" * 8 + "abc"
SHARED = ["alice/plan", "a.b-c_d@example.org/plan", f"{KEY}/plan", "A/0"]
NONE = [
    *("", "/", "a/", "/b", "a/b/c", "../b", "a/..", "./b", "a/.b", "-a/b", "a/-b", ".a/b", "a..b/c", "a/b..c", "a%b/c"),
    *("a/B", "a b/c", "a/b\n", "a\n/b", "~/b", "$a/b", "a;b/c", "a,b/c", "a:b/c", "SHA256:short/b", f"{KEY}x/b"),
    *("é/b", "a" * 64 + "/b", "a/" + "b" * 64, KEY, "SHA256:" + "a" * 42 + "//b", None),
]


@pytest.mark.parametrize("name", SHARED)
def test_a_project_of_somebody_else_s_is_named_with_its_owner(name: str) -> None:
    assert names.is_project(name) and names.is_shared(name) and not names.is_own(name)
    assert (names.owner(name), names.at_owner(name)) == tuple(name.split("/"))
    assert projects.check_name(name) == name
    with pytest.raises(Usage):
        projects.check_new_name(name)


@pytest.mark.parametrize("name", NONE)
def test_what_could_be_a_path_or_an_option_is_no_name(name: object) -> None:
    assert not names.is_project(name)
    with pytest.raises(Usage):
        projects.check_name(str(name))


def test_no_two_projects_have_one_file(tmp_path: Path) -> None:
    every = [*SHARED, "alice-plan", "alice_plan", "plan", "alice"]
    files = {names.in_file_name(name) for name in every}
    assert len(files) == len(every) and not any("/" in name for name in files)
    store = Store(str(tmp_path))
    for name in every:
        with store.lock(f"end-{names.in_file_name(name)}"):
            Path(hidden_files._file(store, name)).touch()
    assert {path.parent for path in tmp_path.rglob("*")} == {tmp_path}
    assert len({sshfs.new_source(name) for name in [*every, *every]}) == 2 * len(every)


def test_a_shared_project_has_a_directory_in_one_of_its_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    path = mount_point.default_path("alice/plan")
    assert path == str(tmp_path / "enc" / "alice" / "plan")
    with mount_point.prepared(path) as point:
        pass
    assert (tmp_path / "enc" / "alice").stat().st_mode & 0o777 == 0o700
    other = tmp_path / "enc" / "alice" / "other"
    other.mkdir()
    mount_point.remove_if_made(point.path, point.made)
    assert not Path(path).exists() and other.exists(), "what else is there stays"
    other.rmdir()
    mount_point.default_path("bob/plan")
    mount_point.remove_if_made(str(tmp_path / "enc" / "plan"), True)
    assert (tmp_path / "enc").exists()


def test_no_directory_is_made_in_a_mount_nor_behind_a_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "enc" / "alice").mkdir(parents=True)
    (tmp_path / "enc" / "bob").symlink_to(tmp_path)
    mounted = linux.mount_table()[0]._replace(path=str(tmp_path / "enc" / "alice"))
    monkeypatch.setattr(linux, "mount_table", lambda: [mounted])
    for owner in ("alice", "bob"):
        with pytest.raises(CannotCreate):
            mount_point.default_path(f"{owner}/plan")
    assert os.listdir(tmp_path / "enc" / "alice") == []


def test_the_end_of_a_membership_is_worded_with_the_owner_s_name(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    Path(store.events).write_text('{"event": "left", "project": "alice/plan", "reason": "unshared"}\n')
    assert session_events.why_locked(store, "alice/plan") == "alice does not share it with you any more"
    assert session_events.is_left(store, "alice/plan") and not session_events.is_left(store, "plan")
