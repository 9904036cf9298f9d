"""Somebody with a key who takes what he can get: what is bounded stays bounded, and others are served."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import Gateway, Person, eventually
from tests.life import connection

CHANNELS = 32
"""MaxSessions in 50-enc.conf."""


@pytest.fixture
def waiting(person: Person) -> Iterator[list[subprocess.Popen[bytes]]]:
    """More channels on one connection than it may have, each with a front that waits for a passphrase."""
    with connection(person) as shared:
        words = person.argv("new", "never", extra=shared)
        channels = [
            subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            for _ in range(CHANNELS + 4)
        ]
        yield channels
        for channel in channels:
            channel.kill()
            channel.communicate()


def fronts(gateway: Gateway) -> int:
    return sum("rshell/__main__" in words for words in gateway.processes().values())


def test_a_connection_has_at_most_its_channels_and_others_are_served(
    gateway: Gateway, waiting: list[subprocess.Popen[bytes]]
) -> None:
    other = gateway.person("served-meanwhile")
    eventually(lambda: fronts(gateway) >= len(waiting))  # ssh opens a connection of its own where it is refused
    other.new("mine")
    with other.mounted("mine"):
        assert other.sftp("ls mine").status == 0
    said = []
    for channel in waiting:
        channel.kill()
        said.append(channel.communicate()[1])
    assert sum(b"Session open refused by peer" in text for text in said) == len(waiting) - CHANNELS
    eventually(lambda: not fronts(gateway))


def test_who_reads_no_answer_holds_up_nobody(gateway: Gateway, person: Person, project: str, tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(os.urandom(8_000_000))
    other = gateway.person(f"{person.name}-other")
    with person.mounted(project):
        assert person.sftp(f"put {tmp_path}/big {project}/big").status == 0
        deaf = person.hold("scp", "-f", f"{project}/big", stdin="\0\0\0\0")
        try:
            deaf.kill(signal.SIGSTOP)
            other.new("mine")
            assert other.ssh("ls").status == 0
            assert person.ssh("status").status == 0
            assert person.ssh("unmount", project).status == 0
        finally:
            deaf.kill(signal.SIGCONT)
            deaf.end()
    assert gateway.events("locked", principal=person.fingerprint)[0]["reason"] == "unmount"
