"""Root working in the directories of the gateway's account: always as that account, so that what it makes there
belongs to it, and no link put there leads root anywhere.
"""

from __future__ import annotations

import contextlib
import os
import pwd
from collections.abc import Iterator

from gateway.audit.log import AuditLog
from gateway.config.schema import Config
from gateway.errors import Misconfigured

_UNSET = 0xFFFFFFFF


@contextlib.contextmanager
def acting(config: Config) -> Iterator[None]:
    """As root: take the identity of the account that has the vaults for the block. Others stay who they are."""
    if os.geteuid() != 0:
        yield
        return
    owner = _owner(config)
    groups = os.getgroups()
    os.setgroups([owner.st_gid])
    os.setegid(owner.st_gid)
    os.seteuid(owner.st_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


def _owner(config: Config) -> os.stat_result:
    try:
        return os.stat(config.paths_vaults)
    except OSError as error:
        raise Misconfigured(f"{config.paths_vaults} cannot be read", error.strerror) from error


def give(config: Config, path: str) -> None:
    """Make the directory `path` if it is missing: the account's alone."""
    if os.path.isdir(path):
        return
    owner = _owner(config)
    os.mkdir(path, 0o700)
    if os.geteuid() == 0:
        os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


def record(config: Config, event: str, **fields: object) -> None:
    """Write to the audit what a sysadmin does, and who that is by their login. Raises Misconfigured."""
    with acting(config):
        AuditLog(config.paths_audit, config.audit_syslog, by=_login()).write(event, **fields)


def _login() -> str:
    """The account that logged in to this host, also behind sudo (proc(5), loginuid); else ours."""
    try:
        with open("/proc/self/loginuid", encoding="ascii") as file:
            uid = int(file.read())
    except (OSError, ValueError):
        uid = _UNSET
    uid = os.getuid() if uid == _UNSET else uid
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
