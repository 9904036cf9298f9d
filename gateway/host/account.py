"""The gateway's account. It owns the vaults. Only the drop-in of sshd lets anybody log in as it."""

from __future__ import annotations

import contextlib
import grp
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
_USERADD, _USERDEL, _GROUPADD = "/usr/sbin/useradd", "/usr/sbin/userdel", "/usr/sbin/groupadd"


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


def taken_by(ids: tuple[int, int]) -> str:
    """The account or group of this host that has this uid or gid; "" if they are free."""
    with contextlib.suppress(KeyError):
        return f"the account {pwd.getpwuid(ids[0]).pw_name}"
    with contextlib.suppress(KeyError):
        return f"the group {grp.getgrgid(ids[1]).gr_name}"
    return ""


def make(ids: tuple[int, int] | None = None) -> pwd.struct_passwd:
    """The account; it is created if it is missing, with this uid and gid if there are `ids`. Raises Misconfigured."""
    if there := find():
        return there
    if ids:
        status, output = process.run([_GROUPADD, "--system", "--gid", str(ids[1]), NAME])
        if status:
            raise Misconfigured(f"the group {NAME} could not be created: {output.strip()}")
    # The password `*` matches nothing. With `!`, sshd considers the account locked and refuses keys too.
    group = ["--uid", str(ids[0]), "--gid", NAME] if ids else ["--user-group"]
    words = [_USERADD, "--system", *group, "--no-create-home", "--home-dir", HOME]
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
