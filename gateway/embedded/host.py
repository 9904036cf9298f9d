"""What the host has to provide, and what root may put right: an account, /run/sshd, a usable /dev/fuse."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

from gateway import process
from gateway.errors import Misconfigured, Usage
from gateway.sandbox import FUSE

ACCOUNT = "enc"
SSHD = "/usr/sbin/sshd"
_USERADD = "/usr/sbin/useradd"


def account() -> pwd.struct_passwd:
    """The account that logins get: our own, or, when we are root, the gateway's, made if it is missing."""
    process.require(SSHD, "openssh-server")
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid())
    try:
        return pwd.getpwnam(ACCOUNT)
    except KeyError:
        # The password `*` matches nothing; `!` would make sshd take the account for locked and refuse keys, too.
        words = [_USERADD, "--system", "--user-group", "--no-create-home", "--home-dir", "/"]
        status, said = process.run([*words, "--shell", "/bin/sh", "--password", "*", ACCOUNT])
        if status:
            raise Misconfigured(f"the account {ACCOUNT} could not be made: {said.strip()}") from None
        return pwd.getpwnam(ACCOUNT)


def prepare(root: Path, owner: pwd.struct_passwd) -> None:
    """As root: what sshd and FUSE need of the host. Raises Usage when the account cannot reach `root`."""
    if os.geteuid() != 0:
        return
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    if os.path.exists(FUSE) and os.stat(FUSE).st_mode & 0o666 != 0o666:
        os.chmod(FUSE, 0o666)  # noqa: S103 - as udev has it: what a mount may do is decided elsewhere
    for directory in root.parents:
        if not _may_search(directory, owner):
            raise Usage(f"the account {owner.pw_name} cannot reach {root}: {directory} is closed to it")


def _may_search(directory: Path, owner: pwd.struct_passwd) -> bool:
    found = directory.stat()
    if found.st_uid == owner.pw_uid:
        return bool(found.st_mode & 0o100)
    return bool(found.st_mode & (0o010 if found.st_gid == owner.pw_gid else 0o001))
