"""Trees with everything that a project can have: made in a vault, and described down to the nanosecond."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

from tests.harness import PASSPHRASE, Gateway, eventually

ODD = r"""
import os, sys
os.chdir(sys.argv[1])
fd = os.open("hole", os.O_RDWR | os.O_CREAT, 0o600)
os.pwrite(fd, b"x" * 5000, 1 << 20); os.ftruncate(fd, 4 << 20); os.close(fd)
open("linked", "w").write("l"); os.mkdir("d")
os.link("linked", "linked2"); os.link("linked", "d/linked3")
open("also", "w").write("l"); os.link("also", "also2")
os.setxattr("linked", "user.a", b"1\0\xff"); os.setxattr("d", "user.d", b"dd")
open(b"\xff\xfe name\n", "w").write("odd"); open("n" * 255, "w").write("long")
os.mkdir("m" * 255); open("m" * 255 + "/" + "k" * 255, "w").write("long in long")
open("closed", "w").write("c"); os.chmod("closed", 0)
for name, mode in (("closed_d", 0), ("ro_d", 0o500), ("sticky_d", 0o1733)):
    os.mkdir(name); open(name + "/f", "w").write("in"); os.chmod(name, mode)
os.symlink("nowhere/\xff", "s"); os.utime("s", ns=(1, 123456789123456789), follow_symlinks=False)
os.mkfifo("fifo", 0o640); open("empty", "w"); open("setuid", "w").write("x"); os.chmod("setuid", 0o4755)
open("block", "wb").write(os.urandom(4096 * 3)); open("big", "wb").write(os.urandom((3 << 20) + 1))
fd = os.open(".", os.O_RDONLY)
for _ in range(25):
    os.mkdir("deep" * 50, dir_fd=fd)
    below = os.open("deep" * 50, os.O_RDONLY, dir_fd=fd); os.close(fd); fd = below
os.write(os.open("bottom", os.O_CREAT | os.O_WRONLY, dir_fd=fd), b"bottom")
os.setxattr(".", "user.top", b"t"); os.utime("closed_d", ns=(5, 987654321)); os.utime(".", ns=(5, 1987654321))
"""
MANY = r"""
import os, sys
for each in range(int(sys.argv[2])):
    if not each % 100: os.mkdir(f"{sys.argv[1]}/{each}")
    open(f"{sys.argv[1]}/{each - each % 100}/f{each}", "wb").write(os.urandom(1500))
"""
_SHELL = r"""
read -r secret; view=$0 script=$1; shift
words=; while [ "$1" != -- ]; do words="$words $1"; shift; done; shift
echo "$secret" | "$@" &
until mountpoint -q "$view"; do kill -0 $! || exit 1; sleep 0.02; done
/usr/bin/python3 -I -c "$script" "$view" $words
status=$?; fusermount3 -u "$view"; wait; exit $status
"""
_DESCRIBE = r"""
import hashlib, json, os, stat, sys
found, links = {}, {}
def describe(fd, where):
    about = os.fstat(fd)
    for name in sorted(os.listdir(fd)):
        path, at = where + (name,), os.stat(name, dir_fd=fd, follow_symlinks=False)
        fields = [stat.filemode(at.st_mode), at.st_mtime_ns]
        if stat.S_ISLNK(at.st_mode): fields += [os.readlink(name, dir_fd=fd)]
        elif stat.S_ISREG(at.st_mode) or stat.S_ISDIR(at.st_mode):
            opened = os.open(name, os.O_RDONLY, dir_fd=fd)
            fields += [[key, os.getxattr(opened, key).hex()] for key in os.listxattr(opened)]
            if stat.S_ISREG(at.st_mode):
                fields += [at.st_size, at.st_blocks, at.st_nlink, "/".join(links.setdefault(at.st_ino, path))]
                fields += [hashlib.sha256(os.pread(opened, 1 << 26, 0)).hexdigest()]
            else: describe(opened, path)
            os.close(opened)
        found["/".join(path)] = fields
top = os.open(sys.argv[1], os.O_RDONLY)
describe(top, ())
found["."] = [stat.filemode(os.fstat(top).st_mode), os.fstat(top).st_mtime_ns, os.listxattr(top)]
print(json.dumps(found))
"""


def make(gateway: Gateway, vault: Path, script: str, *words: str) -> None:
    """Run a script of Python, with the directory and `words`, in the view of a locked vault: by gocryptfs by hand, as
    the gateway's account, without the gateway's guards.
    """
    _in_view(gateway, vault, script, words, as_root=False)


def describe(gateway: Gateway, vault: Path) -> dict[str, object]:
    """What is in a locked vault: of each path all that a copy must keep. Modes close nothing to it."""
    found = json.loads(_in_view(gateway, vault, _DESCRIBE, (), as_root=True))
    assert isinstance(found, dict)
    return found


def _in_view(gateway: Gateway, vault: Path, script: str, words: tuple[str, ...], as_root: bool) -> str:
    view = gateway.root.parent / f"view-{os.urandom(4).hex()}"
    view.mkdir()
    user: list[str] = []
    if os.geteuid() == 0 and not as_root:
        account = str(gateway.ready["account"])
        shutil.chown(view, account)
        user = ["setpriv", "--reuid", account, "--regid", account, "--init-groups"]
    elif os.geteuid():
        user = ["unshare", "--map-root-user", "--mount"] if as_root else []
    config = vault / "slots" / "passphrase.conf"
    mode = ["-ro"] if as_root else []
    argv = ["gocryptfs", "-q", "-fg", "-nosyslog", *mode, "-config", str(config), str(vault / "cipher"), str(view)]
    done = subprocess.run(
        [*user, "sh", "-c", _SHELL, str(view), script, *words, "--", *argv],
        input=PASSPHRASE + "\n",
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    eventually(lambda: not os.path.ismount(view))
    view.rmdir()
    return done.stdout
