"""What an embedded gateway needs of its host: an account, sshd, FUSE, and a directory that the account can reach."""

from __future__ import annotations

import grp
import os
import pwd
from pathlib import Path

from gateway.errors import Usage
from gateway.host import account as accounts
from gateway.host import fuse, sshd


def account() -> pwd.struct_passwd:
    """The account for logins: as root the gateway's, created if it is missing; else our own. Raises Misconfigured."""
    sshd.require()
    return accounts.make() if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())


def prepare(root: Path, owner: pwd.struct_passwd) -> None:
    """As root, prepare the host for sshd and FUSE. Raises Usage when the account cannot reach `root`."""
    if os.geteuid() != 0:
        return
    sshd.make_run_directory()
    if fuse.is_restricted():
        fuse.require(repair=True)
    for directory in root.parents:
        if not _may_search(directory, owner):
            raise Usage(
                f"the account {owner.pw_name} cannot reach {root}", f"give it search permission (x) on {directory}"
            )


def terminal_problem() -> str:
    """Why logins cannot have a terminal here (`ssh -t`); "" if they can.

    sshd gives a terminal to the group `tty`. Who is not root cannot, unless devpts is mounted with that group.
    """
    if os.geteuid() == 0:
        return ""
    try:
        group = grp.getgrnam("tty").gr_gid
    except KeyError:
        return ""
    try:
        controller, terminal = os.openpty()
    except OSError as error:
        return f"`ssh -t` and `enc shell` do not work here: no terminal can be made: {error.strerror}"
    try:
        found = os.fstat(terminal)
    finally:
        os.close(controller)
        os.close(terminal)
    if found.st_gid == group:
        return ""
    return (
        f"`ssh -t` and `enc shell` do not work here: /dev/pts is mounted without gid={group}, so sshd cannot make a "
        f"terminal; root can change that: mount -o remount,gid={group},mode=620 /dev/pts"
    )


def _may_search(directory: Path, owner: pwd.struct_passwd) -> bool:
    found = directory.stat()
    if found.st_uid == owner.pw_uid:
        return bool(found.st_mode & 0o100)
    return bool(found.st_mode & (0o010 if found.st_gid == owner.pw_gid else 0o001))
