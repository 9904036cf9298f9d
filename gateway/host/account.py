"""The gateway's account. It owns the vaults. Only the drop-in of sshd lets anybody log in as it."""

from __future__ import annotations

import pwd
import time

from gateway.base import process
from gateway.errors import Misconfigured
from gateway.host import sshd

NAME = "enc"
HOME = "/"
SHELL = "/bin/sh"
_USERDEL_IN_USE = 8
"""Exit status of userdel(8) while the account has a process."""
_USERDEL_TIMEOUT = 5.0  # seconds
_USERADD, _USERDEL = "/usr/sbin/useradd", "/usr/sbin/userdel"


def find() -> pwd.struct_passwd | None:
    """The account, or None. Raises Misconfigured when another account has the name."""
    try:
        found = pwd.getpwnam(NAME)
    except KeyError:
        return None
    if found.pw_uid == 0 or found.pw_dir != HOME:
        raise Misconfigured(
            f"the account {NAME} is not the gateway's: its home is {found.pw_dir}, not {HOME}", "rename or remove it"
        )
    return found


def make() -> pwd.struct_passwd:
    """The account; it is created if it is missing. Raises Misconfigured."""
    if there := find():
        return there
    # The password `*` matches nothing. With `!`, sshd considers the account locked and refuses keys too.
    words = [_USERADD, "--system", "--user-group", "--no-create-home", "--home-dir", HOME]
    status, output = process.run([*words, "--shell", SHELL, "--password", "*", NAME])
    if status:
        raise Misconfigured(f"the account {NAME} could not be created: {output.strip()}")
    return pwd.getpwnam(NAME)


def remove() -> None:
    """Remove the account, once its processes have ended. Raises Misconfigured when one does not."""
    if there := find():
        if sshd.has_systemd():  # logind keeps the account's `systemd --user` for 10 s after the last login
            process.run([sshd.SYSTEMCTL, "stop", f"user@{there.pw_uid}.service"], seconds=20)
        deadline = time.monotonic() + _USERDEL_TIMEOUT
        while (result := process.run([_USERDEL, NAME]))[0] == _USERDEL_IN_USE and time.monotonic() < deadline:
            time.sleep(0.1)
        if result[0]:
            raise Misconfigured(f"the account {NAME} could not be removed: {result[1].strip()}")
