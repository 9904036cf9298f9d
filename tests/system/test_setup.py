"""`enc-gateway setup` on a machine of its own: what it makes, that it breaks nobody's way in, and that it goes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.harness import PASSPHRASE, Result, bindir, need_root
from tests.machine import Machine, machine

LOOKED_AT = ("/etc", "/var/lib", "/var/log")


@dataclass
class Host:
    """A machine with a running sshd, an admin who logs in to it, and somebody with a key for the gateway."""

    machine: Machine

    def setup(self, *flags: str) -> Result:
        return self.machine.run(str(bindir() / "enc-gateway"), "setup", *flags)

    def admin(self) -> str:
        """What the admin's login says, who has nothing to do with the gateway."""
        return self.ssh("/root/admin", "admin", "id -un && echo $ADMIN_WAS_HERE").out

    def dev(self, *words: str, stdin: str = "") -> Result:
        return self.ssh("/root/dev", "enc", *words, stdin=stdin)

    def options(self, key: str) -> list[str]:
        return [
            "-F",
            "none",
            "-i",
            key,
            "-o",
            "StrictHostKeyChecking=no",
            "-o",
            "LogLevel=ERROR",
            "-o",
            "BatchMode=yes",
        ]

    def ssh(self, key: str, who: str, *words: str, stdin: str = "") -> Result:
        return self.machine.run("ssh", *self.options(key), f"{who}@127.0.0.1", *words, stdin=stdin)

    def state(self) -> dict[str, str]:
        found = self.machine.files(*LOOKED_AT)
        return {
            line: "" for line in found if not re.search(r"/(passwd|shadow|group|gshadow|subuid|subgid)-?(\s|$)", line)
        }


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    """Shared by the tests below, each of which leaves it without a gateway."""
    need_root()
    with machine() as made:
        one = Host(made)
        made.ok("useradd", "--create-home", "--shell", "/bin/sh", "--password", "*", "admin")
        for name in ("admin", "dev"):
            made.ok("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"{name}@test", "-f", f"/root/{name}")
        made.ok("install", "-d", "-m", "700", "-o", "admin", "-g", "admin", "/home/admin/.ssh")
        key = made.read("/root/admin.pub")
        made.write("/home/admin/.ssh/authorized_keys", f'environment="ADMIN_WAS_HERE=yes" {key}')
        made.ok("/usr/sbin/sshd", "-E", "/tmp/sshd.log")
        yield one


@pytest.fixture
def installed(host: Host) -> Iterator[Host]:
    """With a gateway, and `dev` allowed in."""
    result = host.setup()
    assert result.status == 0, result
    key = host.machine.read("/root/dev.pub")
    host.machine.write("/etc/enc/authorized_keys", f'restrict,pty,environment="ENC_USER=dev1" {key}')
    yield host
    assert host.setup("--remove").status == 0
    host.machine.ok("rm", "-rf", "/var/lib/enc")


def test_the_dry_run_shows_each_change_as_a_diff_and_makes_none(host: Host) -> None:
    before = host.state()
    result = host.setup("--dry-run")
    assert result.status == 0, result
    assert "+++ /etc/ssh/sshd_config.d/50-enc.conf" in result.out
    assert "+++ /etc/enc/gateway.toml" in result.out
    assert "+ account enc" in result.out
    assert host.state() == before


def test_what_was_set_up_works_and_twice_changes_nothing(installed: Host) -> None:
    state = installed.state()
    again = installed.setup()
    assert (again.status, again.out) == (0, "nothing to change\n")
    assert installed.state() == state
    assert '"dev1"' in installed.dev("whoami", "--json").out
    assert installed.dev("new", "p", stdin=PASSPHRASE + "\n").status == 0
    options = installed.options("/root/dev")
    held = installed.machine.hold("ssh", *options, "enc@127.0.0.1", "mount", "p", stdin=PASSPHRASE + "\n")
    try:
        held.read_until("unlocked")
        assert "unlocked" in installed.dev("ls").out
        batch = "cd p\nput /etc/hostname file\nls\n"
        assert "file" in installed.machine.run("sftp", *options, "-b", "-", "enc@127.0.0.1", stdin=batch).out
        assert installed.dev("unmount", "p").status == 0
    finally:
        held.end()
    assert installed.dev("rm", "--yes", "p").status == 0
    assert installed.dev("cat", "/etc/passwd").status == 127
