"""A whole gateway without root."""

from __future__ import annotations

import os
import pwd
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import Gateway, bindir, eventually, need_root

ACCOUNT = "enc-ordinary"


AS_ACCOUNT = ("setpriv", "--reuid", ACCOUNT, "--regid", ACCOUNT, "--init-groups")


@pytest.fixture
def account() -> Iterator[pwd.struct_passwd]:
    """An account that exists for this test alone."""
    need_root()
    subprocess.run(["useradd", "--no-create-home", "--shell", "/bin/sh", ACCOUNT], check=True)
    try:
        yield pwd.getpwnam(ACCOUNT)
    finally:
        subprocess.run(["userdel", ACCOUNT], check=True)


@pytest.fixture
def ordinary(account: pwd.struct_passwd) -> Iterator[Gateway]:
    """A gateway run by that account."""
    with tempfile.TemporaryDirectory(prefix="enc-ordinary-") as name:
        os.chown(name, account.pw_uid, account.pw_gid)
        gateway = Gateway(Path(name) / "gw", prefix=AS_ACCOUNT, as_shipped=True).start()
        yield gateway
        assert gateway.stop() == 0
        assert not [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if name in line]


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


@pytest.mark.parametrize(("options", "said"), [("", True), (",gid=5", False)])
def test_a_devpts_on_which_no_terminal_can_be_made_is_told_at_the_start(
    account: pwd.struct_passwd, options: str, said: bool
) -> None:
    with tempfile.TemporaryDirectory(prefix="enc-ordinary-") as name:
        os.chown(name, account.pw_uid, account.pw_gid)
        script = f"mount -t devpts -o newinstance,ptmxmode=666,mode=620{options} devpts /dev/pts\n"
        script += 'mount --bind /dev/pts/ptmx /dev/ptmx\nexec "$@"'
        program = [str(bindir() / "enc-gateway"), "embedded", f"{name}/gw"]
        starting = subprocess.Popen(
            ["unshare", "--mount", "sh", "-euc", script, "sh", *AS_ACCOUNT, *program],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert starting.stdout and starting.stdout.readline().startswith('{"event": "ready"')
        starting.terminate()
        told = starting.communicate(timeout=20)[1]
        assert ("mount -o remount,gid=5,mode=620 /dev/pts" in told) == said, told


def _is_root(pid: int) -> bool:
    try:
        return "Uid:\t0" in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):  # it ended since it was listed
        return False
