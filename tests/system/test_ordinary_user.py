"""A whole gateway without root."""

from __future__ import annotations

import os
import pwd
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import Gateway, eventually, need_root

ACCOUNT = "enc-ordinary"


@pytest.fixture
def ordinary() -> Iterator[Gateway]:
    """A gateway run by an account that exists for this test alone."""
    need_root()
    subprocess.run(["useradd", "--no-create-home", "--shell", "/bin/sh", ACCOUNT], check=True)
    try:
        account = pwd.getpwnam(ACCOUNT)
        with tempfile.TemporaryDirectory(prefix="enc-ordinary-") as name:
            os.chown(name, account.pw_uid, account.pw_gid)
            words = ("setpriv", "--reuid", ACCOUNT, "--regid", ACCOUNT, "--init-groups")
            gateway = Gateway(Path(name) / "gw", prefix=words).start()
            yield gateway
            assert gateway.stop() == 0
            assert not [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if name in line]
    finally:
        subprocess.run(["userdel", ACCOUNT], check=True)


def test_an_ordinary_user_can_run_a_gateway(ordinary: Gateway, tmp_path: Path) -> None:
    assert ordinary.ready["account"] == ACCOUNT
    person = ordinary.person("anybody", principal="dev1")
    assert person.ssh("whoami", "--json").json["principal"] == "dev1"
    person.new("myproj")
    (tmp_path / "file").write_text("content")
    with person.mounted("myproj") as held:
        assert person.sftp(f"put {tmp_path / 'file'} myproj/", f"get myproj/file {tmp_path / 'back'}").status == 0
        assert (tmp_path / "back").read_text() == "content"
        assert not any(map(_is_root, ordinary.processes()))
        assert person.ssh("unmount", "myproj").status == 0
        assert held.wait().status == 0
    eventually(lambda: not ordinary.leftovers())
    assert [event["reason"] for event in ordinary.events("locked")] == ["unmount"]


def _is_root(pid: int) -> bool:
    try:
        return "Uid:\t0" in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):  # it ended since it was listed
        return False
