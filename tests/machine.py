"""A throw-away machine for a test: an overlay on this host's file system, in new mount, network and pid namespaces.

It uses pivot_root, because in a chroot the kernel allows no user namespace. What a test installs, adds or listens on
ends with the machine, and the host sees nothing of it. The kernel's limits in /proc/sys are the host's.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.harness import PATIENCE, Held, Result, eventually, run

_INIT = """
set -eu
mount -t tmpfs -o mode=0755 tmpfs "$1"
mkdir "$1/up" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/up,workdir=$1/work" "$1/root"
cd "$1/root"
mount --rbind /dev dev
mount -t proc proc proc
mount -t tmpfs -o mode=0755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
mkdir .old
pivot_root . .old
cd /
umount -l /.old
rmdir /.old
ip link set lo up
ln -s /proc/self/mounts /etc/mtab 2>/dev/null || :
userdel enc 2>/dev/null || :
rm -rf /etc/enc /var/lib/enc /var/log/enc /etc/ssh/sshd_config.d/50-enc.conf
mkdir -p /run/sshd
touch /run/up
while :; do sleep 1 & wait; done
"""


@dataclass
class Machine:
    """A running machine. Commands run in it as root, with a clean environment."""

    init: subprocess.Popen[bytes]
    pid: int

    def argv(self, *words: str) -> list[str]:
        clean = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "HOME=/root"]
        return ["nsenter", "-t", str(self.pid), "--mount", "--net", "--pid", *clean, *words]

    def run(self, *words: str, stdin: str = "", timeout: float = 120) -> Result:
        return run(self.argv(*words), stdin, timeout)

    def ok(self, *words: str, stdin: str = "") -> str:
        """The output of a command that has to succeed."""
        result = self.run(*words, stdin=stdin)
        assert result.status == 0, result
        return result.out

    def hold(self, *words: str, stdin: str = "") -> Held:
        return Held(self.argv(*words), stdin)

    def write(self, path: str, text: str) -> None:
        self.ok("sh", "-euc", 'cat >"$1"', "sh", path, stdin=text)

    def read(self, path: str) -> str:
        return self.ok("cat", path)

    def exists(self, path: str) -> bool:
        return self.run("test", "-e", path).status == 0

    def files(self, *roots: str) -> set[str]:
        """For every path below `roots`, a line with its kind, mode and owner; for every file, a line with its hash."""
        script = 'find "$@" -printf "%p %y %m %u:%g %l\\n"; find "$@" -type f -print0 | xargs -0 sha256sum'
        return set(self.run("sh", "-c", script, "sh", *roots).out.splitlines())


LOOKED_AT = ("/etc", "/var/log/enc", "/run/enc")
ACCOUNTS = re.compile(r"/(passwd|shadow|group|gshadow|subuid|subgid)-?(\s|$)")


@dataclass
class Host:
    """A machine with a running sshd, an admin who logs in there, and a person with a key for the gateway."""

    machine: Machine

    def setup(self, *flags: str) -> Result:
        return self.machine.run("enc-gateway", "setup", *flags)

    def admin(self) -> str:
        """What a login prints that has nothing to do with the gateway."""
        return self.ssh("/root/admin", "admin", "echo $(id -un) $ADMINS").out

    def dev(self, *words: str, stdin: str = "") -> Result:
        return self.ssh("/root/dev", "enc", *words, stdin=stdin)

    def options(self, key: str) -> list[str]:
        options = ("StrictHostKeyChecking=no", "LogLevel=ERROR", "BatchMode=yes")
        return ["-F", "none", "-i", key, *(word for option in options for word in ("-o", option))]

    def ssh(self, key: str, who: str, *words: str, stdin: str = "") -> Result:
        return self.machine.run("ssh", *self.options(key), f"{who}@127.0.0.1", *words, stdin=stdin)

    def hold(self, key: str, who: str, *words: str, stdin: str = "") -> Held:
        return self.machine.hold("ssh", *self.options(key), f"{who}@127.0.0.1", *words, stdin=stdin)

    def state(self) -> set[str]:
        """The files that setup may change, except the lists of accounts."""
        return {line for line in self.machine.files(*LOOKED_AT) if not ACCOUNTS.search(line)}


@contextlib.contextmanager
def machine() -> Iterator[Machine]:
    """A machine without a gateway."""
    with tempfile.TemporaryDirectory(prefix="enc-machine-") as place:
        words = ["unshare", "--mount", "--net", "--pid", "--fork", "--propagation", "private"]
        init = subprocess.Popen([*words, "sh", "-c", _INIT, "sh", place], stdin=subprocess.DEVNULL)
        try:
            pid = eventually(lambda: _child(init))
            made = Machine(init, pid)
            eventually(lambda: init.poll() is not None or made.run("test", "-e", "/run/up").status == 0)
            assert init.poll() is None, "the machine did not start"
            yield made
        finally:
            for child in _children(init.pid):
                subprocess.run(["kill", "-KILL", str(child)], check=False)
            init.wait(PATIENCE)


def _child(init: subprocess.Popen[bytes]) -> int:
    assert init.poll() is None, "the machine did not start"
    return next(iter(_children(init.pid)), 0)


def _children(pid: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []
