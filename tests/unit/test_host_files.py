"""What a session binds to see the paths of the host that are named in gateway.toml, also after they are replaced."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sandbox import host_files


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """`opt/kit` leads over two links to `srv/v1`, `loop` to itself."""
    for name in ("opt", "srv/v1/bin", "own/vaults", "own/kit"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "opt" / "kit").symlink_to("../opt/current")
    (tmp_path / "opt" / "current").symlink_to(tmp_path / "srv" / "v1")
    (tmp_path / "loop").symlink_to("loop")
    return tmp_path


def bound(host: Path, *wanted: str, private: str = "own/vaults") -> list[str]:
    """bwrap's options, with paths below `host` as they are from there."""
    words = host_files.directories_argv([os.path.join(host, path) for path in wanted], [str(host / private)])
    return [word.removeprefix(f"{host}/") for word in words]


def test_a_path_is_shown_by_its_directory_and_those_of_its_links(host: Path) -> None:
    assert bound(host, "opt/kit") == ["--ro-bind-try", "opt", "opt", "--ro-bind-try", "srv", "srv"]
    assert bound(host, "srv/v1/bin/tool") == ["--ro-bind-try", "srv/v1/bin", "srv/v1/bin"]
    assert bound(host, "opt/kit", "opt/current", "srv/v1") == bound(host, "opt/kit")


def test_a_path_beside_the_gateway_s_own_is_shown_alone(host: Path) -> None:
    assert bound(host, "own/kit") == ["--ro-bind-try", "own/kit", "own/kit"]
    assert bound(host, "own/vaults/x") == ["--ro-bind-try", "own/vaults/x", "own/vaults/x"]
    assert bound(host, "opt", private="own/vaults")[-1] == "opt", "the directory around it has the vaults"


def test_a_link_beside_the_gateway_s_own_stays_a_link(host: Path) -> None:
    (host / "own" / "link").symlink_to("../opt/current")
    assert bound(host, "own/link")[:3] == ["--symlink", "../opt/current", "own/link"]
    assert bound(host, "own/link")[3:] == bound(host, "opt/kit")


def test_what_every_sandbox_has_is_not_bound_again() -> None:
    assert host_files.directories_argv(["/usr/lib/jvm", "/etc/java", "/bin/x"], []) == []


def test_what_a_sandbox_has_for_itself_is_not_covered() -> None:
    assert host_files.directories_argv(["/tmp/no-such", "/no-such"], []) == [
        *("--ro-bind-try", "/tmp/no-such", "/tmp/no-such"),
        *("--ro-bind-try", "/no-such", "/no-such"),
    ]
    assert host_files.directories_argv(["/dev/null"], []) == [
        *("--ro-bind", "/dev", "/.dev", "--symlink", "/.dev/null", "/dev/null")
    ]


def test_a_loop_of_links_ends(host: Path) -> None:
    assert bound(host, "loop")


@given(st.lists(st.sampled_from(["usr", "lib", "..", ".", "", "no-such", "bin", "proc", "self", "root"]), max_size=8))
def test_the_last_step_is_where_the_path_leads(names: list[str]) -> None:
    path = "/" + "/".join(names)
    if "/proc/self/root" not in os.path.normpath(path):  # a link that is followed by another way than its text
        assert list(host_files.steps(path))[-1] == os.path.realpath(path)


def test_a_descriptor_is_of_the_regular_files_that_are_there(host: Path) -> None:
    (host / "file").write_text("content")
    os.mkfifo(host / "fifo")
    wanted = [str(host / name) for name in ("file", "fifo", "opt", "loop", "missing")]
    with host_files.opened(wanted, {"/made": b"made"}) as found:
        assert {path: os.read(fd, 99) for path, fd in found.items()} == {wanted[0]: b"content", "/made": b"made"}
