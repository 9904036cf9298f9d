"""Permissions inside a view are those of the ciphertext. Whoever closes a directory there closes it to the gateway."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness import Gateway, Person, eventually


def test_a_project_whose_top_is_closed_can_be_unlocked_again(person: Person, project: str) -> None:
    with person.mounted(project):
        assert person.sftp(f"mkdir {project}/kept").status == 0
        person.sftp(f"-chmod 000 {project}")
    eventually(lambda: not person.gateway.session_processes())
    assert person.vault(project).joinpath("cipher").stat().st_mode & 0o777 == 0
    with person.mounted(project):
        assert "kept" in person.sftp(f"ls -1 {project}").out


def test_closed_directories_do_not_keep_what_was_removed(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway(**{"trash.days": "0"})
    person = gateway.person("somebody")
    person.new("full")
    with person.mounted("full"):
        made = person.sftp(
            "mkdir full/a", "mkdir full/a/b", "chmod 000 full/a/b", "chmod 000 full/a", "-chmod 000 full"
        )
        assert made.status == 0, made
    eventually(lambda: person.ssh("rm", "full", "--yes").status == 0)
    person.new("another")
    assert list(person.vault("full").with_name(".trash").iterdir()) == []


@pytest.mark.parametrize("mode", ["000", "400", "300"])
def test_what_is_behind_a_closed_door_counts(person: Person, project: str, tmp_path: Path, mode: str) -> None:
    (tmp_path / "big").write_bytes(os.urandom(1_000_000))
    with person.mounted(project):
        hidden = ("mkdir d", "mkdir d/e", f"put {tmp_path}/big d/e/big", f"chmod {mode} d/e", f"chmod {mode} d")
        assert person.sftp(f"cd {project}", *hidden).status == 0
    assert 1_000_000 < size(person) < 1_500_000


def size(person: Person) -> int:
    """Of the only project, as `ls` tells it; quotas count the same way."""
    projects = person.ssh("ls", "--json").json["projects"]
    assert isinstance(projects, list) and len(projects) == 1
    return int(projects[0]["size"])
