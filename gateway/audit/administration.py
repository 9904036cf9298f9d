"""Audit records of what a sysadmin does. Each has `by`: the sysadmin's login on this host."""

from __future__ import annotations

import pwd

from gateway.audit.log import AuditLog
from gateway.base import privileges
from gateway.config.schema import Config

_LOGINUID_UNSET = 0xFFFFFFFF


def record(config: Config, event: str, required: bool = True, **fields: object) -> None:
    """Append one record, with the identity of the account that owns the log.

    Raises Misconfigured when the record is `required` and cannot be written.
    """
    with privileges.account(*privileges.owner(config.account_directory)):
        AuditLog(config.paths_audit, config.audit_syslog, required, by=_login()).write(event, **fields)


def log(config: Config) -> AuditLog:
    """The log, for records of what a sysadmin's command ends or finds. Write it with the identity of the account."""
    return AuditLog(config.paths_audit, config.audit_syslog, by=_login())


def _login() -> str:
    """The account that logged in to this host, also behind sudo (proc(5), loginuid); ours if it is not set."""
    try:
        with open("/proc/self/loginuid", encoding="ascii") as file:
            uid = int(file.read())
    except (OSError, ValueError):
        uid = _LOGINUID_UNSET
    uid = privileges.invoker() if uid == _LOGINUID_UNSET else uid
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
