"""The gateway's account: it owns the vaults, and sshd lets nobody in as it but by the drop-in."""

from __future__ import annotations

import pwd

from gateway import process
from gateway.errors import Misconfigured

NAME = "enc"
HOME = "/"
SHELL = "/bin/sh"
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
    """Take the account away. Raises Misconfigured."""
    if find():
        status, said = process.run([_USERDEL, NAME])
        if status:
            raise Misconfigured(f"the account {NAME} could not be removed: {said.strip()}")
