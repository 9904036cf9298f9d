"""A disk that was remounted read-only, as the kernel does after errors: that is told, and nothing is called damaged."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.harness import PASSPHRASE, Gateway, Person, admin, need_root


@pytest.fixture
def store(ground: Path) -> Iterator[Path]:
    """A file system of its own for vaults."""
    need_root()
    path = ground / "vaults"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=0700", "tmpfs", path], check=True)
    subprocess.run(["chown", "enc:enc", path], check=True)
    yield path
    subprocess.run(["umount", "-l", path], check=True)


@pytest.fixture
def who(store: Path, make_gateway: Callable[..., Gateway]) -> Person:
    gateway = make_gateway(**{"paths.vaults": str(store)})
    person = gateway.person("dev")
    person.new("work")
    return person


def test_a_read_only_disk_is_told_as_that_and_before_a_passphrase_is_asked(who: Person, store: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", store], check=True)
    for words in (("mount", "work"), ("fsck", "work"), ("idle", "work", "90"), ("rm", "--yes", "work")):
        refused = who.ssh(*words, stdin=PASSPHRASE + "\n")
        assert (refused.status, "Passphrase" in refused.err) == (75, False), (words, refused)
        assert "damaged" not in refused.err and "ead-only" in refused.err, (words, refused)
    assert who.ssh("ls").status == who.ssh("status").status == 0
    (listed,) = json.loads(admin(who.gateway, "vaults", "--json").out)["vaults"]
    assert (listed["state"], listed["problem"]) == ("locked", "")
    subprocess.run(["mount", "-o", "remount,rw", store], check=True)
    with who.mounted("work"):
        assert who.ssh("ls").status == 0
    assert not who.gateway.events("fault")
