"""What gateway/vault/defects.py knows of gocryptfs's versions, and the filter that refuses hard links."""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

import pytest

from gateway.errors import Misconfigured
from gateway.vault import defects, gocryptfs, link_guard

VERSIONS = {
    "gocryptfs 2.3; go-fuse 2.1.0+git20220822.58a7e14; 2023-04-09 go1.19.8 linux/amd64": (2, 3, 0),
    "gocryptfs 2.4.0; go-fuse v2.4.2": (2, 4, 0),
    "gocryptfs v2.3.2; go-fuse v2.3.0": (2, 3, 2),
    "gocryptfs v2.6.1-12-g1234abc; go-fuse": (2, 6, 1),
    "gocryptfs [GitVersion not set - please compile using ./build.bash]; go-fuse": defects.UNKNOWN,
    "bash 5.2.1": defects.UNKNOWN,
    "": defects.UNKNOWN,
}


@pytest.mark.parametrize(("text", "version"), VERSIONS.items())
def test_a_version_is_read(text: str, version: defects.Version) -> None:
    assert defects.parse(text) == version


def test_a_version_that_cannot_be_read_has_every_defect_and_2_3_2_makes_links() -> None:
    assert set(defects.found(defects.UNKNOWN)) == set(defects.DEFECTS)
    assert defects.HARD_LINKS in defects.found((2, 3, 1))
    assert defects.HARD_LINKS not in defects.found((2, 3, 2))


def test_the_version_is_asked_once_for_each_program(tmp_path: Path) -> None:
    there = defects.installed(str(tmp_path))
    assert there == defects.parse(gocryptfs.version_text()) != defects.UNKNOWN
    (kept,) = tmp_path.iterdir()
    kept.write_text("gocryptfs 9.8.7; x")
    assert defects.installed(str(tmp_path)) == (9, 8, 7)
    kept.rename(tmp_path / "of-another-program")
    assert defects.installed(str(tmp_path)) == there


def test_a_run_directory_that_cannot_be_written_costs_only_time(tmp_path: Path) -> None:
    assert defects.installed(str(tmp_path / "missing")) == defects.parse(gocryptfs.version_text())


def test_the_filter_refuses_links_and_nothing_else(tmp_path: Path) -> None:
    pid = os.fork()
    if pid == 0:
        status = 9
        try:
            ctypes.CDLL(None).prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS, which a sandbox has
            link_guard.install()
            (tmp_path / "file").write_text("x")
            (tmp_path / "file").rename(tmp_path / "other")
            try:
                os.link(tmp_path / "other", tmp_path / "link")
            except OSError as error:
                status = 0 if error.errno == errno.EPERM else 8
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


def test_a_machine_whose_calls_are_not_known_is_refused() -> None:
    with pytest.raises(Misconfigured, match="cannot be refused on riscv64"):
        link_guard.program("riscv64")
