"""Code that runs as the gateway's account, and a sysadmin who is root: what it writes leads root nowhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.harness import Gateway, alive, bindir, need_root, run

FORGED = """
import fcntl, json, os, struct, sys
path, pid = sys.argv[1], int(sys.argv[2])
os.makedirs(path)
lock = os.open(path + "/lock", os.O_RDWR | os.O_CREAT)
fcntl.fcntl(lock, fcntl.F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 1, 0))
record = {"id": os.path.basename(path), "principal": "x", "fingerprint": "", "address": "", "port": 1, "connection": ""}
record |= {"anchor": "session", "since": "", "pid": pid, "views": []}
with open(path + "/record.json", "w") as file:
    json.dump(record, file)
print("there", flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def as_root() -> None:
    need_root()


@pytest.fixture
def bystander() -> Iterator[int]:
    """A process of root's that has nothing to do with the gateway."""
    process = subprocess.Popen(["sleep", "600"])
    yield process.pid
    process.kill()
    process.wait()


def test_a_forged_record_directs_no_signal_at_another_process(
    make_gateway: Callable[..., Gateway], bystander: int
) -> None:
    gateway = make_gateway()
    account = str(gateway.ready["account"])
    become = ["setpriv", "--reuid", account, "--regid", account, "--init-groups"]
    where = str(gateway.root / "run" / "sessions" / "s-0123456789ab")
    words = [*become, sys.executable, "-I", "-c", FORGED, where, str(bystander)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as forger:
        assert forger.stdout and forger.stdout.readline() == "there\n"
        listed = run(
            [str(bindir() / "enc-gateway"), "sessions", "--json", "--config", str(gateway.root / "gateway.toml")]
        )
        assert [one["pid"] for one in json.loads(listed.out)["sessions"]] == [bystander]
        gateway.stop()
        forger.communicate("")
    assert alive(bystander)


def test_rotating_gives_nothing_of_roots_away(make_gateway: Callable[..., Gateway]) -> None:
    """As if a file of root's had been linked to where the next log is made (fs.protected_hardlinks = 0)."""
    gateway = make_gateway()
    assert gateway.person("logger").ssh("ls").status == 0
    next_ = Path(f"{gateway.ready['audit']}.next")
    next_.write_text("root's")
    rotated = run([str(bindir() / "enc-gateway"), "audit", "rotate", "--config", str(gateway.root / "gateway.toml")])
    assert rotated.status != 0
    assert next_.read_text() == "root's" and next_.stat().st_uid == 0


@pytest.mark.parametrize("mode", [0o755, 0o777])
def test_an_embedded_gateway_takes_no_directory_of_another_account(ground: Path, mode: int) -> None:
    where = ground / f"taken-{mode:o}"
    where.mkdir()
    where.chmod(mode)
    if mode == 0o755:
        os.chown(where, 65534, 65534)
    refused = run([str(bindir() / "enc-gateway"), "embedded", str(where)])
    assert refused.status == 64 and "others can write to it" in refused.err
    assert not any(where.iterdir())
