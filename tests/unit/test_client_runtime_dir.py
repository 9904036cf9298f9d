"""Without XDG_RUNTIME_DIR, enc uses a private directory where others may write: only one that is the user's alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from client.errors import Missing
from client.state import runtime_dir


@pytest.fixture
def parents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Two directories in which everybody may make one, in place of /dev/shm and /tmp; no /run/user/UID."""
    made = (tmp_path / "shm", tmp_path / "tmp")
    for parent in made:
        parent.mkdir()
        parent.chmod(0o1777)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr(runtime_dir, "_OPEN_TO_ALL", tuple(map(str, made)))
    monkeypatch.setattr(runtime_dir, "_OF_LOGIN", str(tmp_path / "nobody"))
    return made


def own(parent: Path) -> Path:
    return parent / f"enc-{os.geteuid()}"


def test_it_is_made_private_and_found_again(parents: tuple[Path, Path]) -> None:
    assert runtime_dir.path() == str(own(parents[0]) / "enc") == runtime_dir.path()
    assert own(parents[0]).stat().st_mode & 0o777 == 0o700
    assert runtime_dir.is_fallback()


def _open(made: Path) -> None:
    made.mkdir()
    made.chmod(0o750)


def _link(made: Path) -> None:
    target = made.parent.parent / f"target-{made.parent.name}"
    target.mkdir(mode=0o700)
    made.symlink_to(target)


def _file(made: Path) -> None:
    made.write_text("")


def _foreign(made: Path) -> None:
    made.mkdir(mode=0o700)
    os.chown(made, 12345, 12345)


@pytest.mark.parametrize("spoil", [_open, _link, _file, _foreign])
def test_what_is_not_ours_alone_is_not_used(parents: tuple[Path, Path], spoil: object) -> None:
    if spoil is _foreign and os.geteuid():
        pytest.skip("not root")
    assert callable(spoil)
    spoil(own(parents[0]))
    assert runtime_dir.path() == str(own(parents[1]) / "enc"), "the next place"
    (own(parents[1]) / "enc").rmdir()
    own(parents[1]).rmdir()
    spoil(own(parents[1]))
    with pytest.raises(Missing, match="are not private directories of yours"):
        runtime_dir.path()


def test_the_directory_of_the_login_comes_first(parents: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    login = parents[0].parent / "login"
    login.mkdir(mode=0o700)
    monkeypatch.setattr(runtime_dir, "_OF_LOGIN", str(login))
    assert runtime_dir.path() == str(login / "enc")


def test_one_that_is_in_use_stays_whatever_another_user_takes_back(parents: tuple[Path, Path]) -> None:
    own(parents[0]).write_text("")  # another user's, in the place that comes first
    used = runtime_dir.path()
    own(parents[0]).unlink()
    assert runtime_dir.path() == used == str(own(parents[1]) / "enc")


def test_a_place_where_others_may_rename_what_is_ours_is_not_used(parents: tuple[Path, Path]) -> None:
    parents[0].chmod(0o777)
    assert runtime_dir.path() == str(own(parents[1]) / "enc")
    parents[1].chmod(0o777)
    with pytest.raises(Missing, match="are not private directories of yours"):
        runtime_dir.path()
