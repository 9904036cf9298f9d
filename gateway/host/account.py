"""The gateway's account: it owns the vaults, and sshd lets nobody in as it but by the drop-in."""

from __future__ import annotations

import pwd
import time

from gateway.base import process
from gateway.errors import Misconfigured
from gateway.host import sshd

NAME = "enc"
HOME = "/"
SHELL = "/bin/sh"
_IN_USE = 8
"""What userdel(8) ends with while a process is the account's."""
_PATIENCE = 5.0
_USERADD, _USERDEL = "/usr/sbin/useradd", "/usr/sbin/userdel"


def find() -> pwd.struct_passwd | None:
    """The account, or None when there is none. Raises Misconfigured when somebody else goes by that name."""
    try:
        found = pwd.getpwnam(NAME)
    except KeyError:
        return None
    if found.pw_uid == 0 or found.pw_dir != HOME:
        raise Misconfigured(f"there is an account {NAME} that is not the gateway's: its home is {found.pw_dir}")
    return found


def make() -> pwd.struct_passwd:
    """The account, made if it is missing. Raises Misconfigured."""
    if there := find():
        return there
    # The password `*` matches nothing; `!` would make sshd take the account for locked and refuse keys, too.
    words = [_USERADD, "--system", "--user-group", "--no-create-home", "--home-dir", HOME]
    status, said = process.run([*words, "--shell", SHELL, "--password", "*", NAME])
    if status:
        raise Misconfigured(f"the account {NAME} could not be made: {said.strip()}")
    return pwd.getpwnam(NAME)


def remove() -> None:
    """Take the account away, once what was ended just now is gone. Raises Misconfigured when something stays."""
    if there := find():
        if sshd.has_systemd():  # logind keeps the account's `systemd --user` for 10 s after the last login
            process.run([sshd.SYSTEMCTL, "stop", f"user@{there.pw_uid}.service"], seconds=20)
        deadline = time.monotonic() + _PATIENCE
        while (result := process.run([_USERDEL, NAME]))[0] == _IN_USE and time.monotonic() < deadline:
            time.sleep(0.1)
        if result[0]:
            raise Misconfigured(f"the account {NAME} could not be removed: {result[1].strip()}")
